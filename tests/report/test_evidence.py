"""Frames of leaks: every file is read by the tools that people have, and holds what the report lists, nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from pytest_ciliumwg.agent.canary import Canaries, fill
from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.model.traffic import EvidenceFrame, Sighting
from pytest_ciliumwg.report import files as report_files
from pytest_ciliumwg.report.evidence import dissect, files
from pytest_ciliumwg.report.evidence.kept import evidence
from pytest_ciliumwg.report.findings import findings
from pytest_ciliumwg.report.json_report import document
from pytest_ciliumwg.report.record import RunRecord
from pytest_ciliumwg.verdict.judge import Judge
from tests.report.schema import problems
from tests.verdict.test_judge import FLOW, NODES, sound, watched
from tests.watch.made import clear

ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
OUTER = IP(src="192.0.2.1", dst="192.0.2.2")
CANARY = Canaries.of(bytes(32)).make(0, 0)
INNER = IP(src="10.0.0.1", dst="10.0.1.1") / UDP(sport=40000, dport=20000) / Raw(fill(CANARY, 300))


def frame(packet: Packet, at: float = 1700000000.25) -> EvidenceFrame:
    data = bytes(packet)
    return EvidenceFrame(at=at, data=data[:512], length=len(data))


def seen(*frames: EvidenceFrame, **parts: Any) -> Sighting:
    return clear(first=frames[0].at, last=frames[-1].at, evidence=frames, **parts)


def record(*sightings: Sighting, promised: bool = True) -> RunRecord:
    made = RunRecord(provider="lab", profiles=["core"], nodes=["one", "two"])
    measurement = replace(sound(), flows=(replace(FLOW, promised=promised),))
    for node in ("one", "two"):
        mine = tuple(sighting for sighting in sightings if sighting.node == node)
        measurement = watched(node, sightings=mine)(measurement)
    made.judges["initial"] = Judge(measurement, NODES)
    return made


def report(made: RunRecord, directory: Path) -> dict[str, Any]:
    report_files.write(made, document(made, findings(made), 1), directory, lambda _: None)
    read: dict[str, Any] = json.loads((directory / "report.json").read_text())
    assert not problems(read)
    return read


def leaking() -> RunRecord:
    plain, wrapped = ETHERNET / INNER, ETHERNET / OUTER / UDP(sport=5, dport=8472) / VXLAN(vni=7) / ETHERNET / INNER
    short = ETHERNET / IP(src="10.0.0.1", dst="10.0.1.1") / UDP(sport=40000, dport=20000)
    return record(
        seen(frame(plain, 1700000001.5), frame(wrapped, 1700000000.123456)),
        seen(frame(short), how="header"),
        seen(frame(plain), node="two", outgoing=False, direction="reply"),
    )


def test_each_device_has_a_file_with_its_frames_in_the_order_of_time(tmp_path: Path) -> None:
    read = report(leaking(), tmp_path)
    assert not read["evidence_missing"]
    one, two = read["evidence"]
    assert (one["file"], one["node"], one["device"]) == ("one.eth0.pcapng", "one", "eth0")
    assert [row["number"] for row in one["frames"]] == [1, 2, 3]
    assert [row["at"] for row in one["frames"]] == sorted(row["at"] for row in one["frames"])
    assert [row["how"] for row in one["frames"]] == ["canary", "header", "canary"]
    assert (two["frames"][0]["direction"], two["frames"][0]["outgoing"]) == ("reply", False)
    for row in read["evidence"]:
        assert row["sha256"] == hashlib.sha256((tmp_path / row["file"]).read_bytes()).hexdigest()
    assert {path.name for path in tmp_path.glob("*.pcapng")} == {"one.eth0.pcapng", "two.eth0.pcapng"}


def test_the_comment_says_the_flow_the_direction_and_why_it_is_ours(tmp_path: Path) -> None:
    first, short, _ = report(leaking(), tmp_path)["evidence"][0]["frames"]
    assert first["comment"] == (
        "request of flow 0, UDP v4 one → two (10.0.0.1 → 10.0.1.1); leaving one eth0 in stage initial; "
        "ours because it holds the canary of this flow"
    )
    assert short["comment"].endswith(
        "ours because it has the addresses and ports of this flow, and is too short for a canary"
    )


def test_what_is_not_promised_is_no_evidence_and_an_unknown_flow_is(tmp_path: Path) -> None:
    assert report(record(seen(frame(ETHERNET / INNER)), promised=False), tmp_path)["evidence"] == []
    (row,) = report(record(seen(frame(ETHERNET / INNER), flow=7)), tmp_path)["evidence"]
    assert "a flow that is not known; leaving one eth0" in row["frames"][0]["comment"]


def test_frames_are_decoded_layer_by_layer(tmp_path: Path) -> None:
    wrapped = report(leaking(), tmp_path)["evidence"][0]["frames"][0]
    assert [layer["name"] for layer in wrapped["layers"]] == [
        "Ethernet", "IP", "UDP", "VXLAN", "Ethernet", "IP", "UDP", "Raw",
    ]  # fmt: skip
    assert wrapped["layers"][1]["fields"]["src"] == "192.0.2.1"
    assert wrapped["layers"][3]["fields"]["vni"] == "0x7"
    assert wrapped["summary"].endswith("IP / UDP 10.0.0.1:40000 > 10.0.1.1:20000 / Raw")
    assert wrapped["hex"].startswith("020000000002020000000001")


WIREGUARD = bytes.fromhex("04000000") + bytes(28)
TUNNELLED = {
    "geneve": (ETHERNET / OUTER / UDP(sport=5, dport=6081) / GENEVE(proto=0x0800) / INNER, "GENEVE"),
    "vxlan": (ETHERNET / OUTER / UDP(sport=5, dport=8472) / VXLAN() / ETHERNET / INNER, "VXLAN"),
    "wireguard": (ETHERNET / OUTER / UDP(sport=51871, dport=51871) / Raw(WIREGUARD), "Wireguard Transport"),
    "wireguard-v6": (ETHERNET / IPv6(src="::1", dst="::2") / UDP(sport=51871, dport=51871) / Raw(WIREGUARD), "IPv6"),
}


@pytest.mark.parametrize("name", list(TUNNELLED))
def test_tunnels_are_known(tmp_path: Path, name: str) -> None:
    packet, layer = TUNNELLED[name]
    (row,) = report(record(seen(frame(packet))), tmp_path)["evidence"]
    assert layer in [one["name"] for one in row["frames"][0]["layers"]]


HOSTILE = {
    "empty": b"",
    "one": b"\0",
    "cut": bytes(13),
    "ones": b"\xff" * 512,
    "noughts": bytes(512),
    "all": bytes(range(256)),
}


@pytest.mark.thorough(but=("cut",))
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_any_bytes_are_kept_whatever_they_decode_to(tmp_path: Path, data: bytes) -> None:
    hostile = EvidenceFrame(at=1.0, data=data, length=9000)
    (row,) = report(record(seen(hostile)), tmp_path)["evidence"]
    assert row["frames"][0]["length"] == 9000
    assert row["frames"][0]["hex"] == data[:160].hex()


def test_of_very_many_frames_some_of_each_sighting_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_DECODED", 3)
    frames = [frame(ETHERNET / INNER, at) for at in range(1, 6)]
    made = record(seen(*frames), seen(*frames, direction="reply"), seen(*frames, node="two"))
    rows = [row for file in report(made, tmp_path)["evidence"] for row in file["frames"]]
    assert len(rows) == 15
    decoded = [(row["direction"], row["at"]) for row in rows if "summary" in row]
    assert decoded == [("request", 1), ("reply", 1), ("request", 1)]


def test_a_report_without_its_evidence_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dissect, "__file__", str(tmp_path / "missing.py"))
    read = report(leaking(), tmp_path)
    assert read["evidence"] == []
    assert read["evidence_missing"].startswith("frames of leaks could not be written and decoded: ")
    assert "\n" not in read["evidence_missing"]
    assert read["flows"]


def test_a_decoder_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hangs.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(dissect, "__file__", str(tmp_path / "hangs.py"))
    monkeypatch.setattr(files, "_SECONDS", 0.2)
    with pytest.raises(CiliumwgError, match="could not be decoded"):
        files.write_evidence(evidence(leaking()), tmp_path)


def test_without_a_leak_no_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    assert report(record(), tmp_path)["evidence"] == []


LOOKS = (
    "import socket, dissect\n"
    "events = []\n"
    "import sys\n"
    "sys.addaudithook(lambda name, _: events.append(name) if name.startswith('socket.') else None)\n"
    "dissect.load()\n"
    "print(dissect.decode(bytes(64))['summary'], events)\n"
    "socket.socket()\n"
)


def test_the_decoder_opens_no_socket_and_cannot(tmp_path: Path) -> None:
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
    environment = homes | {"PYTHONPATH": str(Path(dissect.__file__).parent), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", LOOKS], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "[]" in done.stdout, done.stderr
    assert "PermissionError: decoding frames needs no socket.__new__" in done.stderr


def test_tcpdump_reads_every_frame(tmp_path: Path) -> None:
    for row in report(leaking(), tmp_path)["evidence"]:
        assert len(_lines("tcpdump", "-n", "-t", "-K", "-r", tmp_path / row["file"], "-q")) == len(row["frames"])


def test_tshark_finds_the_canary_in_exactly_the_frames_that_the_report_lists(tmp_path: Path) -> None:
    canary = ":".join(f"{byte:02x}" for byte in CANARY)
    for row in report(leaking(), tmp_path)["evidence"]:
        file = tmp_path / row["file"]
        found = _lines(
            "tshark", "-n", "-r", file, "-Y", f"frame contains {canary}", "-T", "fields", "-e", "frame.number"
        )
        assert [int(number) for number in found] == [one["number"] for one in row["frames"] if one["how"] == "canary"]
        asked = ("-e", "frame.comment", "-e", "frame.len", "-e", "frame.time_epoch", "-e", "frame.interface_name")
        for line, one in zip(_lines("tshark", "-n", "-r", file, "-T", "fields", *asked), row["frames"], strict=True):
            comment, length, at, device = line.split("\t")
            assert (comment, int(length), device) == (one["comment"], one["length"], row["device"])
            assert float(at) == pytest.approx(one["at"], abs=2e-6)


def _lines(program: str, *arguments: str | Path) -> list[str]:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("\t")]


def test_capture_files_of_an_earlier_run_are_removed_and_no_others(tmp_path: Path) -> None:
    report(leaking(), tmp_path)
    (tmp_path / "mine.pcapng").touch()
    report_files.make_ready(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pcapng"]
