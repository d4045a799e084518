"""Captures that do not hold all that passed, or are not what they are said to be, prove nothing, and say why."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.offline import OfflineCluster
from pytest_ciliumwg.verdict.captured import apart
from pytest_ciliumwg.verdict.judge import Judge
from tests.offline.conftest import HEALTHY, RECORDINGS, Changed, opened
from tests.offline.frames import echo, ethernet, ip, pcap, pcapng, udp, vxlan
from tests.offline.recorded import Stamped, frames_of, only, pcap_of

CAPTURES = RECORDINGS / "healthy"
NAME = "rig-worker.eth0.pcap"
MAC = bytes.fromhex("0242ac120003")
NODES = [bytes((172, 18, 0, last)) for last in (2, 3, 4)]
WIREGUARD = (51871).to_bytes(2, "big")

Edit = Callable[[list[Stamped]], list[Stamped]]


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """The captures of a healthy cluster, to be changed."""
    folder = tmp_path / "captures"
    shutil.copytree(CAPTURES, folder)
    return folder


def edited(captures: Path, edit: Edit, link_type: int = 1) -> OfflineCluster:
    """The record with the frames of one capture changed."""
    frames = frames_of(captures / f"{NAME}.gz")
    captures.joinpath(f"{NAME}.gz").unlink()
    captures.joinpath(NAME).write_bytes(pcap_of(edit(frames), link_type))
    return opened(HEALTHY, captures)


def doubts(cluster: OfflineCluster) -> list[str]:
    """All that keeps the captures from proving something."""
    watches = cluster.captured().watches
    found = [error for watch in watches.values() for error in watch.errors]
    found += [f"{watch.pods.missed} frames missed" for watch in watches.values() if watch.pods and watch.pods.missed]
    untold = [why for why in cluster.untold if "whether frames were dropped" not in why]
    return [*cluster.problems, *found, *untold, *filter(None, [apart(watches)])]


def test_nothing_is_wrong_with_the_captures_as_they_were_taken(captures: Path) -> None:
    assert doubts(edited(captures, lambda frames: frames)) == []


def between_nodes(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[26:30] in NODES and frame[30:34] in NODES


EDITS: dict[str, tuple[Edit, str]] = {
    "udp port 51871": (
        only(lambda frame: frame[36:38] == WIREGUARD),
        "hold no packet but WireGuard's and between nodes",
    ),
    "host": (only(between_nodes), "hold no packet but WireGuard's and between nodes"),
    "-Q in": (only(lambda frame: frame[6:12] != MAC), "hold only frames that arrive"),
    "-Q out": (only(lambda frame: frame[0:6] != MAC and not frame[0] & 1), "hold only frames that leave"),
    "-s 30": (lambda frames: [(at, data[:30], length) for at, data, length in frames], "frames missed"),
    "later": (lambda frames: [(at + 3600, *rest) for at, *rest in frames], "begin at"),  # type: ignore[misc]
    "a moment": (lambda frames: [frame for frame in frames if 5 < frame[0] - frames[0][0] < 5.5], "but 0."),
    "nothing": (lambda _: [], "holds no frame"),
}


@pytest.mark.parametrize("how", EDITS)
def test_a_capture_that_lacks_something(captures: Path, how: str) -> None:
    edit, said = EDITS[how]
    assert any(said in doubt for doubt in doubts(edited(captures, edit)))


@pytest.mark.parametrize(("how", "filtered"), [("host", False), ("udp port 51871", True)])
def test_in_tunnel_mode_pods_are_between_nodes_too(captures: Path, changed: Changed, how: str, filtered: bool) -> None:
    def tunnelled(name: str, content: bytes) -> Iterable[tuple[str, bytes]]:
        yield (
            name,
            content.replace(b"routing-mode: native", b"routing-mode: tunnel").replace(b"mode:native", b"mode:tunnel"),
        )

    record = changed(tunnelled)
    edit, said = EDITS[how]
    frames = edit(frames_of(captures / f"{NAME}.gz"))
    captures.joinpath(f"{NAME}.gz").unlink()
    captures.joinpath(NAME).write_bytes(pcap_of(frames))
    assert opened(record).actual_config().routing_mode == "vxlan"
    assert any(said in doubt for doubt in doubts(opened(record, captures))) is filtered


def test_captures_of_another_day_than_the_look_at_the_nodes(captures: Path) -> None:
    for path in captures.iterdir():
        moved = [(at + 86400, data, length) for at, data, length in frames_of(path)]
        path.with_suffix("").write_bytes(pcap_of(moved))
        path.unlink()
    (why,) = doubts(opened(HEALTHY, captures))
    assert why.startswith("the captures were taken 1441 minutes after the nodes were looked at, or clocks differ: ")


def test_a_capture_that_is_missing(captures: Path) -> None:
    captures.joinpath(f"{NAME}.gz").unlink()
    assert any(doubt.startswith("no capture of rig-worker's eth0: ") for doubt in doubts(opened(HEALTHY, captures)))


def test_the_same_capture_under_another_name(captures: Path) -> None:
    shutil.copy(captures / "rig-worker2.eth0.pcap.gz", captures / f"{NAME}.gz")
    found = doubts(opened(HEALTHY, captures))
    assert any("holds the same frames as" in doubt for doubt in found)
    assert any(doubt.startswith("no capture of rig-worker's eth0: ") for doubt in found)


def test_two_captures_of_one_device_with_an_hour_between(captures: Path) -> None:
    frames = frames_of(captures / f"{NAME}.gz")
    early, late = frames[:3], [(at + 3600, data, length) for at, data, length in frames[3:]]
    captures.joinpath("more").mkdir()
    captures.joinpath("more", NAME).write_bytes(pcap_of(late))
    assert any("in common" in doubt or "begin at" in doubt for doubt in doubts(edited(captures, lambda _: early)))


def test_a_file_that_goes_on_in_the_next_one_is_as_good_as_one(captures: Path) -> None:
    frames = frames_of(captures / f"{NAME}.gz")
    half = len(frames) // 2
    captures.joinpath("more").mkdir()
    captures.joinpath("more", NAME).write_bytes(pcap_of(frames[half:]))
    cluster = edited(captures, lambda _: frames[:half])
    assert doubts(cluster) == []


def test_a_second_capture_of_the_same_time_counts_no_message_twice(captures: Path) -> None:
    plain = Judge(opened(HEALTHY, captures).captured(), opened(HEALTHY).nodes())
    captures.joinpath("more").mkdir()
    frames = frames_of(captures / f"{NAME}.gz")
    captures.joinpath("more", NAME).write_bytes(pcap_of(frames[1:]))
    twice = opened(HEALTHY, captures)
    assert doubts(twice) == []
    judged = Judge(twice.captured(), twice.nodes())
    for node in ("rig-worker", "rig-worker2"):
        assert judged.data_messages(node, "rig-worker", "rig-worker2") == plain.data_messages(
            node, "rig-worker", "rig-worker2"
        )


def test_the_inside_of_the_tunnel_is_no_native_device_whatever_its_file_is_called(captures: Path) -> None:
    inside = [(1795730100.0, echo("10.0.0.225", "10.0.2.59"), 84)]
    cluster = edited(captures, lambda _: inside, link_type=101)
    assert any("has no Ethernet headers, and rig-worker's eth0 has" in doubt for doubt in doubts(cluster))
    assert not any(watch.pods and watch.pods.conversations for watch in cluster.captured().watches.values())


def test_a_device_of_a_pod_is_no_native_device_whatever_its_file_is_called(captures: Path) -> None:
    state = opened(HEALTHY).state("rig-worker")
    veth = next(bytes.fromhex(link.mac.replace(":", "")) for link in state.devices if link.name.startswith("lxc"))
    frame = ethernet(echo("10.0.0.225", "10.0.2.59"), b"\x02\0\0\0\0\x09", veth)
    cluster = edited(captures, lambda _: [(1795730100.0, frame, len(frame))] * 3)
    assert any("has no frame with an Ethernet address of rig-worker" in doubt for doubt in doubts(cluster))


def test_a_capture_that_says_of_itself_that_it_was_filtered(captures: Path) -> None:
    frames = [data for _, data, _ in frames_of(captures / f"{NAME}.gz")]
    captures.joinpath(f"{NAME}.gz").unlink()
    plain = pcapng(frames, at=1795730085.0)
    captures.joinpath(f"{NAME}ng").write_bytes(plain)
    assert not any("filter" in doubt for doubt in doubts(opened(HEALTHY, captures)))
    captures.joinpath(f"{NAME}ng").write_bytes(pcapng(frames, at=1795730085.0, filtered="not net 10.0.0.0/8"))
    assert any("were taken with a filter" in doubt for doubt in doubts(opened(HEALTHY, captures)))


ENDS = ("172.18.0.3", "172.18.0.4")
CLEAR = ethernet(vxlan(ENDS, echo("10.0.0.225", "10.0.2.59")), MAC, bytes.fromhex("0242ac120004"))


@pytest.mark.parametrize(
    "first", [CLEAR[:60], ethernet(ip(*ENDS, 17, udp(40000, 8472, bytes(8) + ethernet(bytes(28), kind=0x0806))))]
)
def test_what_is_in_a_tunnel_does_not_hide_behind_a_frame_in_front_of_it(captures: Path, first: bytes) -> None:
    """Both have the same outer headers; of the first one it is not known, or of no matter, what is in it."""
    captures.joinpath(f"{NAME}.gz").unlink()
    captures.joinpath(NAME).write_bytes(pcap([first, CLEAR], at=1795730100.0))
    watch = opened(HEALTHY, captures).captured().watches["rig-worker"]
    assert watch.pods is not None
    assert [seen.frames for seen in watch.pods.conversations] == [1]
    assert watch.devices["eth0"].truncated == (len(first) == 60)


def test_where_pods_may_have_any_address_what_nobody_knows_is_told(captures: Path, changed: Changed) -> None:
    record = changed(lambda name, content: [(name, content.replace(b"podCIDRs:", b"unused:"))])
    frame = ethernet(echo("10.99.0.1", "10.98.0.1"), MAC, bytes.fromhex("0242ac120004"))
    captures.joinpath(f"{NAME}.gz").unlink()
    captures.joinpath(NAME).write_bytes(pcap([frame], at=1795730100.0))
    found = opened(record, captures).problems
    assert any(problem.startswith("1 frames 10.99.0.1 → 10.98.0.1 in cleartext in the captures") for problem in found)
    assert not any("10.99.0.1" in problem for problem in opened(HEALTHY, captures).problems)


def cooked(index: int, kind: int, packet: bytes) -> bytes:
    """A frame of the device `any`, in the second format."""
    return struct.pack(">HHIHBB8s", 0x0800, 0, index, 1, kind, 6, bytes(8)) + packet


def test_a_capture_of_any_device_counts_by_device(captures: Path) -> None:
    state = opened(HEALTHY).state("rig-worker")
    native = {link.name: link.index for link in state.native_devices}["eth0"]
    pod = next(link.index for link in state.devices if link.name.startswith("lxc"))
    clear = echo("10.0.0.225", "10.0.2.59")
    captures.joinpath(f"{NAME}.gz").unlink()
    name = captures / "rig-worker.any.pcap"
    frames = [cooked(native, 4, echo("10.0.0.225", "192.0.2.1")), cooked(native, 0, echo("192.0.2.1", "10.0.0.225"))]
    stamped = [
        (1795730085.0 + number, frame, len(frame)) for number, frame in enumerate([*frames, cooked(pod, 0, clear)])
    ]
    name.write_bytes(pcap_of(stamped, link_type=276))
    watch = opened(HEALTHY, captures).captured().watches["rig-worker"]
    assert watch.pods is not None
    assert (watch.devices["eth0"].frames, watch.pods.conversations, watch.errors) == (2, (), ())
    name.write_bytes(pcap_of([*stamped, (1795730089.0, cooked(native, 4, clear), 84)], link_type=276))
    watch = opened(HEALTHY, captures).captured().watches["rig-worker"]
    assert watch.pods is not None
    assert [(seen.frames, seen.device) for seen in watch.pods.conversations] == [(1, "eth0")]
    name.write_bytes(pcap_of(stamped[2:], link_type=276))
    watch = opened(HEALTHY, captures).captured().watches["rig-worker"]
    assert watch.errors
    name.rename(captures / "unnamed.pcap")
    (problem,) = opened(HEALTHY, captures).problems
    assert problem.endswith("nothing says of which node: name its file NODE.pcap")
