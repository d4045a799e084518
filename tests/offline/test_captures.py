"""Captures of all formats are counted alike, by headers, at any depth; what is wrong with one is one clause."""

from __future__ import annotations

import io
import struct
from collections import Counter
from ipaddress import ip_address

import pytest

from pytest_ciliumwg.agent.capture.packet_headers import packets
from pytest_ciliumwg.providers.offline.captures.capture import Capture, Interface, Take
from pytest_ciliumwg.providers.offline.captures.counting import FrameCounter
from pytest_ciliumwg.providers.offline.captures.files import read_capture
from tests.offline.frames import (
    echo,
    ethernet,
    geneve,
    ip,
    pcap,
    pcapng,
    udp,
    vlan,
    vxlan,
    wireguard,
    zipped,
)

A, B, NODES = "10.0.1.7", "10.0.2.9", ("172.18.0.3", "172.18.0.4")
FRAMES = [ethernet(echo(A, B)), ethernet(wireguard(*NODES)), ethernet(echo(A, B)), ethernet(echo(B, A, 0))]


def counted(data: bytes) -> tuple[Capture, list[FrameCounter]]:
    counters: list[FrameCounter] = []

    def taker(interface: Interface) -> Take:
        counters.append(FrameCounter(interface.link_type))
        return counters[-1].take

    return read_capture("x", io.BytesIO(data), taker), counters


@pytest.mark.parametrize(
    "data",
    [
        pcap(FRAMES),
        pcap(FRAMES, order=">"),
        pcap(FRAMES, nanoseconds=True),
        pcapng(FRAMES),
        zipped(pcap(FRAMES)),
        zipped(pcapng(FRAMES)),
    ],
    ids=["pcap", "big-endian", "nanoseconds", "pcapng", "pcap.gz", "pcapng.gz"],
)
def test_every_format(data: bytes) -> None:
    capture, (frames,) = counted(data)
    assert capture.problem == ""
    assert frames.frames == 4
    assert (frames.first, frames.last) == pytest.approx((1000.0, 1000.003))
    assert sorted(slot.count for slot in frames.seen()) == [1, 1, 2]


def test_the_newer_format_tells_its_device_and_what_was_dropped() -> None:
    capture, _ = counted(pcapng(FRAMES, name="eth1", drops=5))
    (interface,) = capture.interfaces
    assert (interface.name, interface.snaplen, interface.drops) == ("eth1", 160, 5)


@pytest.mark.parametrize(
    ("data", "problem", "frames"),
    [
        (b"", "is empty", 0),
        (b"PK\3\4 something else", "is no capture: it begins neither as pcap nor as pcapng does", 0),
        (pcap(FRAMES)[:20], "ends within its header", 0),
        (pcap(FRAMES)[:-30], "ends within a frame, so it was cut off: what is in front of that was read", 3),
        (pcapng(FRAMES)[:-30], "ends within a block, so it was cut off: what is in front of that was read", 3),
        (zipped(pcap(FRAMES))[:-20], "is damaged (*), and was read as far as that", 0),
    ],
)
def test_what_is_wrong_is_told_and_the_rest_is_read(data: bytes, problem: str, frames: int) -> None:
    capture, counters = counted(data)
    before, _, after = problem.partition("*")
    assert capture.problem.startswith(before)
    assert capture.problem.endswith(after)
    assert sum(counter.frames for counter in counters) == frames


def test_a_frame_of_impossible_length_ends_the_reading() -> None:
    data = bytearray(pcap(FRAMES))
    data[24 + 8 : 24 + 12] = b"\xff\xff\xff\x7f"
    capture, _ = counted(bytes(data))
    assert capture.problem.startswith("is damaged (a frame of 2147483647 bytes)")


@pytest.mark.parametrize(
    ("frame", "tunnels"),
    [
        (ethernet(echo(A, B)), [""]),
        (vlan(vlan(ethernet(echo(A, B)), 7), 8), [""]),
        (ethernet(vxlan(NODES, echo(A, B))), ["", "vxlan"]),
        (ethernet(geneve(NODES, echo(A, B))), ["", "geneve"]),
        (ethernet(vxlan(NODES, vxlan(("192.0.2.1", "192.0.2.2"), echo(A, B)))), ["", "vxlan", "vxlan"]),
        (ethernet(vxlan(NODES, echo(A, B), port=8223)), ["", "vxlan"]),
        (ethernet(geneve(NODES, echo(A, B), port=7000)), ["", "geneve"]),
        (ethernet(ip(*NODES, 4, echo(A, B))), ["", "ipip"]),
        (ethernet(ip(*NODES, 47, b"\0\0\x08\0" + echo(A, B))), ["", "gre"]),
        (ethernet(ip("fd00::1", "fd00::2", 60, bytes([4, 0, *bytes(6)]) + echo(A, B))), ["", "ipip"]),
    ],
)
def test_headers_at_any_depth(frame: bytes, tunnels: list[str]) -> None:
    found = packets(frame)
    assert [packet.tunnel for packet in found] == tunnels
    assert (ip_address(found[-1].source), ip_address(found[-1].destination)) == (ip_address(A), ip_address(B))
    assert packets(frame[:30]) == []


MADE = ((vxlan, 8472), (geneve, 6081), (vxlan, 8223), (geneve, 7000))


def test_frames_alike_outside_are_told_apart_by_what_they_carry() -> None:
    """Of a tunnel all packets have the same outer headers; a leak of one pod must not hide behind another's."""
    tcp = [ip(A, to, 6, bytes([0, 1, 0, port, *bytes(16)])) for to in (B, "10.0.2.10") for port in (80, 80, 90)]
    inner = [echo(A, B), echo(A, "10.0.2.10"), ip(A, B, 17, udp(1, 53, b"x" * 20)), *tcp]
    own_ports = [ethernet(make(NODES, packet, port=port)) for make, port in MADE for packet in inner]
    _, (frames,) = counted(pcap(own_ports))
    counts: Counter[str] = Counter()
    for slot in frames.seen():
        outer, last = packets(slot.frame)
        assert ip_address(outer.destination) == ip_address(NODES[1])
        counts[str(ip_address(last.destination))] += slot.count
    assert counts == {B: 20, "10.0.2.10": 16}
    assert sum(slot.count for slot in frames.seen()) == 36


def test_a_capture_of_ip_packets_alone() -> None:
    data = bytearray(pcap([echo(A, B), wireguard(*NODES)]))
    data[20:24] = (101).to_bytes(4, "little")
    _, (frames,) = counted(bytes(data))
    assert [len(packets(slot.frame, ethernet=False)) for slot in frames.seen()] == [1, 1]


def test_what_the_system_dropped_counts_as_dropped() -> None:
    numbers = {5: 2, 7: 3}
    options = b"".join(struct.pack("<HHQ", code, 8, number) for code, number in numbers.items()) + bytes(4)
    body = struct.pack("<III", 0, 0, 0) + options
    block = struct.pack("<II", 5, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))
    capture, _ = counted(pcapng(FRAMES) + block)
    assert capture.interfaces[0].drops == 5


def test_frames_in_blocks_of_an_obsolete_kind_are_not_passed_over_in_silence() -> None:
    body = struct.pack("<HHIIII", 0, 0, 0, 0, len(FRAMES[0]), len(FRAMES[0])) + FRAMES[0]
    body += bytes(-len(body) % 4)
    block = struct.pack("<II", 2, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))
    capture, (frames,) = counted(pcapng(FRAMES) + block)
    assert frames.frames == 4
    assert capture.problem == "holds frames in blocks of an obsolete kind, which were left out: write it anew"
