"""Keys that are in what somebody handed in are in nothing that a run says or leaves behind."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_ciliumwg.options.table import OPTIONS
from tests.offline.conftest import Changed
from tests.offline.frames import echo, ethernet, pcap

KEY = "qGmZJ0Yv3lRkT7Jr5Ews1yQw9c0NfLbXo2uHd8tPa1E="
BEARER = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"
PLANTED = f"private key: {KEY} token={BEARER}"


def planted(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
    """The file with secrets, where it can have some: as further members, and as lines that nobody understands."""
    text = content.decode()
    if name.endswith(".yaml"):
        text = text.replace("\ndata:\n", f"\ndata:\n  wg-private-key: {KEY}\n", 1) + f"planted: {PLANTED!r}\n"
    elif name.endswith(".json"):
        document = json.loads(text)
        document["planted"] = PLANTED
        document["environment-variables"].append(f"wg-private-key:{KEY}")
        text = json.dumps(document)
    else:
        text += f"{PLANTED}\n"
    yield name, text.encode()
    if "/k8s-nodes-" in name:
        log = f'level=error msg="WireGuard: {PLANTED}" error={KEY}\n'
        yield f"{name.partition('/')[0]}/logs-cilium-jtwnp-cilium-agent-20261126-215241.log", log.encode()


def test_a_planted_key_is_in_no_artifact(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, changed: Changed, tmp_path: Path
) -> None:
    for name in ("GITHUB_ACTIONS", *(option.env for option in OPTIONS)):
        monkeypatch.delenv(name, raising=False)
    capture = tmp_path / "rig-worker.eth0.pcap"
    mac = bytes.fromhex("0242ac120003")
    frame = ethernet(echo("10.0.0.225", "10.0.2.59"), mac) + KEY.encode()
    capture.write_bytes(pcap([frame] * 3, at=1795730100.0))
    report = Path(pytester.path, "report")
    run = pytester.runpytest_inprocess(
        "--ciliumwg", "--ciliumwg-provider=offline", f"--ciliumwg-input={changed(planted)}", "-rA", "-vv",
        f"--ciliumwg-input={capture}", f"--ciliumwg-report={report}", f"--junitxml={report}/junit.xml",
        "--ciliumwg-cilium-version=1.21", "-p", "no:cacheprovider",
    )  # fmt: skip
    written = {path.name: path.read_bytes() for path in report.iterdir()}
    assert len(written) >= 5
    assert "wire.other-pods" in written["report.json"].decode()
    assert "the agent's log: error: WireGuard: private key: [redacted]" in written["report.json"].decode()
    written["record.json.gz"] = gzip.decompress(written["record.json.gz"])
    written["terminal"] = (run.stdout.str() + run.stderr.str()).encode()
    for name, content in written.items():
        assert KEY.encode() not in content, name
        assert BEARER.encode() not in content, name
