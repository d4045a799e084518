"""Frames that nobody should send: a watch outlives them, and none of them hides a leak."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.continuous import ContinuousWatch, Heartbeat
from pytest_ciliumwg.agent.capture.frames import Hit
from pytest_ciliumwg.agent.capture.rings import Plan

from . import frames_made as make
from .frames_made import A4, B4, ICMP, IP, NODE_A, NODE_B, TCP, UDP, IPv6, wire
from .test_frames import INNER, OUTER, UDP4
from .test_watch import send, start

WHOLE = {
    "nothing in it": make.Raw(b""),
    "vlan": make.Dot1Q(vlan=7) / UDP4 / make.Raw(bytes(100)),
    "ipv4 options": IP(src=A4, dst=B4, options=[b"\x01" * 4]) / TCP(dport=20002) / make.Raw(bytes(60)),
    "icmp": IP(src=A4, dst=B4) / ICMP(id=20001) / make.Raw(bytes(60)),
    "ipv6 extensions": IPv6(src=make.A6, dst=make.B6) / make.IPv6ExtHdrHopByHop() / make.IPv6ExtHdrRouting()
    / make.IPv6ExtHdrFragment(id=9) / UDP(sport=51871, dport=51871) / make.Raw(bytes(60)),
    "ipv6 fragment": IPv6(src=make.A6, dst=make.B6) / make.IPv6ExtHdrFragment(id=9) / UDP(dport=51871)
    / make.Raw(bytes(60)),
    "vxlan": OUTER / UDP(dport=8472) / make.VXLAN(vni=3) / INNER,
    "geneve": OUTER / UDP(dport=6081) / make.GENEVE(proto=0x6558) / INNER,
    "wireguard": OUTER / UDP(sport=51871, dport=51871) / make.Raw(b"\4\0\0\0" + bytes(124)),
    "wireguard over ipv6": IPv6(src=make.A6, dst=make.B6) / UDP(sport=51871, dport=51871) / make.Raw(bytes(100)),
}  # fmt: skip


def truncated() -> list[bytes]:
    """Every beginning of every frame that a socket sends at all, up to 200 bytes."""
    frames = [wire(packet) for packet in WHOLE.values()]
    return [frame[:size] for frame in frames for size in range(14, min(len(frame), 200) + 1)]


@pytest.mark.usefixtures("netns")
def test_a_watch_outlives_truncated_frames_and_goes_on_counting() -> None:
    watch = start()
    send(*truncated())
    send(UDP4 / make.payload(make.UDP_FLOW, 64), OUTER / UDP(dport=51871) / make.Raw(b"\4\0\0\0" + bytes(60)))
    result = watch.stop()
    assert result["errors"] == []
    assert any(row["flow"] == make.UDP_FLOW and row["how"] == "canary" for row in result["seen"])
    device = result["devices"]["left"]
    # The kernel itself drops what ends within a VLAN tag.
    assert len(truncated()) - 8 < device["frames"] == device["kernel_frames"] <= len(truncated()) + 2
    data = [row for row in device["wireguard"]["messages"] if row["kind"] == 4 and row["source"] == NODE_A]
    assert sum(row["count"] for row in data) >= 1


@pytest.mark.usefixtures("netns")
def test_a_continuous_watch_outlives_truncated_frames() -> None:
    watch = ContinuousWatch(Plan(["left"], make.index(), 1 << 20, 4, 51871), Heartbeat(1, 0, 10.0, [], []))
    send(*truncated())
    send(UDP4 / make.payload(make.UDP_FLOW, 64))
    entries: list[dict[str, Any]] = watch.stop(0)["entries"]
    assert [entry for entry in entries if entry["kind"] in ("error", "failure")] == []
    assert any(entry["kind"] == "sighting" and entry["how"] == "canary" for entry in entries)


@pytest.mark.usefixtures("netns")
def test_a_frame_that_cannot_be_read_is_told_and_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = start()
    find = watch._index.find_all

    def stumble(frame: bytes) -> list[Hit]:
        if len(frame) < 100:
            raise IndexError("a parser's mistake")
        return find(frame)

    with monkeypatch.context() as patch:
        patch.setattr(watch._index, "find_all", stumble)
        send(UDP4 / make.Raw(b"\1"), UDP4 / make.payload(make.UDP_FLOW, 200))
        result = watch.stop()
    assert result["errors"] == ["left: 1 captured frames could not be taken apart"]
    assert [row["count"] for row in result["seen"]] == [1]


CONTROL = make.CANARIES.make(42, canary.CONTROL)


def test_a_control_in_front_of_a_leak_does_not_hide_it() -> None:
    frame = wire(OUTER / UDP(dport=9) / make.Raw(CONTROL + make.token(make.UDP_FLOW)))
    found = [Hit(make.UDP_FLOW, canary.REQUEST, "canary"), Hit(42, canary.CONTROL, "canary")]
    assert make.index().find_all(frame) == found


def test_a_control_does_not_hide_a_leak_that_only_its_header_shows() -> None:
    hits = make.index().find_all(wire(UDP4 / make.Raw(CONTROL)))
    assert hits == [Hit(make.UDP_FLOW, canary.REQUEST, "header"), Hit(42, canary.CONTROL, "canary")]


def test_all_flows_in_a_frame_are_found() -> None:
    frame = wire(OUTER / UDP(dport=9) / make.Raw(make.token(make.TCP_FLOW) + make.token(make.UDP_FLOW)))
    assert [hit.flow for hit in make.index().find_all(frame)] == [make.TCP_FLOW, make.UDP_FLOW]


def test_a_header_without_checksum_is_known_by_both_its_addresses() -> None:
    syn = IP(src=A4, dst=B4, chksum=0) / TCP(sport=4000, dport=20002)
    assert make.index().find(wire(syn)) == Hit(make.TCP_FLOW, canary.REQUEST, "header")
    assert make.index().find(wire(IP(src=NODE_B, dst=B4, chksum=0) / TCP(dport=20002))) is None
    assert make.index().find(wire(IP(src=A4, dst=B4, chksum=1) / TCP(dport=20002))) is None


def test_raw_ip_without_an_ethernet_header_is_known() -> None:
    syn = IP(src=A4, dst=B4) / TCP(sport=4000, dport=20002)
    assert make.index().find(bytes(syn)) == Hit(make.TCP_FLOW, canary.REQUEST, "header")
    syn6 = IPv6(src=make.A6, dst=make.B6) / TCP(sport=4000, dport=20005)
    assert make.index().find(bytes(syn6)) == Hit(make.TCP6_FLOW, canary.REQUEST, "header")
