"""Nothing that a run says or leaves behind has a real name or address, and its findings are the same but for these."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.agent.capture.packet_headers import packets
from pytest_ciliumwg.providers.offline.captures.capture import Interface, Take
from pytest_ciliumwg.providers.offline.captures.files import read_capture
from tests.offline.conftest import DETACHED, RECORDINGS, Judge, opened

ANONYMISE = "--ciliumwg-anonymise"
CAPTURES = RECORDINGS / "egress-detached"
SAID_BY_ALL = {"0.0.0.0", "127.0.0.1", "::1", "::", "255.255.255.255", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"}
_MAC = re.compile(r"(?<![\w:])[0-9a-f]{2}(?::[0-9a-f]{2}){5}(?![\w:])")
_V4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_V6 = re.compile(r"(?<![\w:.])[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])")
_NAME = re.compile(r"^ *(?:- )?(?:name|podName|hostname|nodeName|\S*/hostname): ([\w.-]*-[\w.-]+)$", re.MULTILINE)
OF_EVERY_CLUSTER = {"kube-system"}


def addresses_in(text: str) -> Iterator[str]:
    """Every address of any kind, as it is written."""
    yield from _MAC.findall(text)
    for found in (*_V4.findall(text), *_V6.findall(text)):
        try:
            yield str(ip_address(found))
        except ValueError:
            continue


def of_captures() -> Iterator[str]:
    """The addresses in all headers of the captures."""

    def take(data: bytes, frames: Any) -> None:
        for start, size, _ in frames:
            frame = data[start : start + size]
            found.update((frame[:6].hex(":"), frame[6:12].hex(":")))
            found.update(
                str(ip_address(end)) for packet in packets(frame) for end in (packet.source, packet.destination)
            )

    def taker(interface: Interface) -> Take:
        del interface
        return take

    found: set[str] = set()
    for path in CAPTURES.iterdir():
        with path.open("rb") as stream:
            read_capture(path.name, stream, taker)
    return iter(found)


def real() -> tuple[set[str], set[str]]:
    """All addresses and names of the input."""
    addresses, names = set(of_captures()), {path.name for path in CAPTURES.iterdir()}
    with zipfile.ZipFile(DETACHED) as archive:
        for name in archive.namelist():
            text = archive.read(name).decode()
            addresses.update(addresses_in(text))
            if "k8s-" in name or "ciliumnodes" in name or "ciliumendpoints" in name:
                names.update(_NAME.findall(text))
            names.update(part for part in name.split("/")[:-1] if part != "cmd")
    return addresses - SAID_BY_ALL, names - OF_EVERY_CLUSTER


def written(folder: Path) -> Iterator[tuple[str, str]]:
    """Each file of a report, as text."""
    for path in folder.iterdir():
        content = path.read_bytes()
        yield path.name, (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def test_a_real_record_without_its_names(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    plain = judge(DETACHED, CAPTURES, name="plain")
    summary, verdict, junit = (tmp_path / name for name in ("summary", "verdict", "junit.xml"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    more = (ANONYMISE, "-rA", "-vv", f"--ciliumwg-verdict-file={verdict}", f"--junitxml={junit}")
    run = judge(DETACHED, CAPTURES, more=more, name="anonymous")
    texts = dict(written(Path(pytester.path, "anonymous"))) | {
        path.name: path.read_text("utf-8") for path in (summary, verdict, junit)
    }
    texts["terminal"] = run.result.stdout.str() + run.result.stderr.str()
    addresses, names = real()
    assert len(addresses) > 30
    assert names > {"rig-worker", "rig-worker2", "pod-a", "pod-b"}
    for name, text in texts.items():
        assert not addresses & set(addresses_in(text)), name
        assert not [real for real in names if re.search(rf"(?<![\w-]){re.escape(real)}(?![\w-])", text)], name
    cluster = opened(DETACHED)
    real_names = {f"node-{number}": node.name for number, node in enumerate(cluster.nodes(), 1)}
    real_names |= {f"pod-{number}": pod.name for number, pod in enumerate(cluster.pods(), 1)}
    told = re.sub(r"(?:node|pod)-\d+", lambda found: real_names[found[0]], json.dumps(run.report["findings"]))
    assert json.loads(told) == plain.report["findings"]
    assert run.last == plain.last
    assert [check["outcome"] for check in run.report["checks"]] == [
        check["outcome"] for check in plain.report["checks"]
    ]
