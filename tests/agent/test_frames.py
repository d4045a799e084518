"""Every way in which a frame of ours can look must be recognised, and nothing else."""

from __future__ import annotations

import random
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.frames import UNKNOWN_FLOW, FlowIndex, Hit

from . import frames_made as make
from .frames_made import A4, A6, B4, B6, ICMP, IP, NODE_A, NODE_B, TCP, UDP, IPv6, payload, wire

REQUEST, REPLY = canary.REQUEST, canary.REPLY
UDP4 = IP(src=A4, dst=B4) / UDP(sport=4000, dport=20003)
TCP4 = IP(src=A4, dst=B4) / TCP(sport=4000, dport=20002)
INNER = make.Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / UDP4 / payload(make.UDP_FLOW, 40)
OUTER = IP(src=NODE_A, dst=NODE_B)

WITH_CANARY = {
    "plain": UDP4 / payload(make.UDP_FLOW, 64),
    "in the last 16 bytes of the frame": UDP4 / make.Raw(b"x" * 1400 + make.token(make.UDP_FLOW)),
    "9000 bytes": UDP4 / make.Raw(b"x" * 4000) / payload(make.UDP_FLOW, 4958),
    "snat": IP(src=NODE_A, dst=B4) / UDP(sport=1, dport=20003) / payload(make.UDP_FLOW, 64),
    "both addresses translated": OUTER / UDP(sport=1, dport=2) / payload(make.UDP_FLOW, 64),
    "vlan": make.Dot1Q(vlan=7) / UDP4 / payload(make.UDP_FLOW, 64),
    "vxlan": OUTER / UDP(dport=8472) / make.VXLAN(vni=3) / INNER,
    "geneve with an option": OUTER / UDP(dport=6081)
    / make.GENEVE(proto=0x6558, options=[make.GeneveOptions(classid=1, type=2, data=b"abcd")]) / INNER,
    "udp 51871 without WireGuard": OUTER / UDP(sport=51871, dport=51871) / INNER,
    "no IP at all": make.Raw(b"\0" * 7) / payload(make.UDP_FLOW, 31),
}  # fmt: skip


@pytest.mark.parametrize("how", WITH_CANARY)
def test_canary_is_found_anywhere(how: str) -> None:
    assert make.index().find(wire(WITH_CANARY[how])) == Hit(make.UDP_FLOW, REQUEST, "canary")


WITHOUT_CANARY: dict[str, tuple[Any, Hit]] = {
    "syn": (TCP4, Hit(make.TCP_FLOW, REQUEST, "header")),
    "syn ack": (IP(src=B4, dst=A4) / TCP(sport=20002, dport=4000, flags="SA"), Hit(make.TCP_FLOW, REPLY, "header")),
    "rst in vxlan": (
        OUTER / UDP(dport=8472) / make.VXLAN() / make.ETHERNET / IP(src=B4, dst=A4)
        / TCP(sport=20002, dport=4000, flags="R"),
        Hit(make.TCP_FLOW, REPLY, "header"),
    ),
    "fin behind snat": (
        IP(src=NODE_A, dst=B4) / TCP(sport=99, dport=20002, flags="FA"), Hit(make.TCP_FLOW, REQUEST, "header"),
    ),
    "one byte of udp": (UDP4 / make.Raw(b"\7"), Hit(make.UDP_FLOW, REQUEST, "header")),
    "empty echo request": (IP(src=A4, dst=B4) / ICMP(id=20001), Hit(make.ICMP_FLOW, REQUEST, "header")),
    "empty echo reply": (IP(src=B4, dst=A4) / ICMP(type=0, id=20001), Hit(make.ICMP_FLOW, REPLY, "header")),
    "ipv6 syn behind three extension headers": (
        IPv6(src=A6, dst=B6) / make.IPv6ExtHdrHopByHop() / make.IPv6ExtHdrRouting() / make.IPv6ExtHdrDestOpt()
        / TCP(sport=1, dport=20005),
        Hit(make.TCP6_FLOW, REQUEST, "header"),
    ),
    "ipv6 atomic fragment": (
        IPv6(src=A6, dst=B6) / make.IPv6ExtHdrFragment(id=9) / TCP(sport=1, dport=20005),
        Hit(make.TCP6_FLOW, REQUEST, "header"),
    ),
    "ip options": (
        IP(src=A4, dst=B4, options=[b"\x01" * 4]) / TCP(dport=20002), Hit(make.TCP_FLOW, REQUEST, "header"),
    ),
    "icmp error quoting a request": (
        IP(src=NODE_B, dst=A4) / ICMP(type=3, code=4) / (UDP4 / make.Raw(b"\0")),
        Hit(make.UDP_FLOW, REQUEST, "header"),
    ),
    "icmp error quoting a header": (
        IP(src=NODE_B, dst=NODE_A) / ICMP(type=3, code=3) / UDP4, Hit(make.UDP_FLOW, REQUEST, "quoted"),
    ),
    "icmp error quoting the header of a larger packet, padded": (
        IP(src=NODE_B, dst=A4) / ICMP(type=11) / make.Raw(bytes(UDP4 / make.Raw(b"x" * 1200))[:28] + bytes(4)),
        Hit(make.UDP_FLOW, REQUEST, "header"),  # what stands where payload was is taken for it
    ),
    "icmp error quoting eight bytes of a larger packet": (
        IP(src=NODE_B, dst=A4) / ICMP(type=3, code=4) / make.Raw(bytes(UDP4 / make.Raw(b"x" * 1200))[:28]),
        Hit(make.UDP_FLOW, REQUEST, "quoted"),
    ),
    "icmp error quoting a syn": (
        IP(src=NODE_B, dst=NODE_A) / ICMP(type=3, code=1) / TCP4, Hit(make.TCP_FLOW, REQUEST, "quoted"),
    ),
    "icmpv6 error quoting a header, in vxlan": (
        OUTER / UDP(dport=8472) / make.VXLAN() / make.ETHERNET / IPv6(src="fd00:18::3", dst=A6)
        / make.ICMPv6PacketTooBig(mtu=1280) / IPv6(src=A6, dst=B6) / TCP(sport=1, dport=20005),
        Hit(make.TCP6_FLOW, REQUEST, "quoted"),
    ),
    "icmp error from a pod of ours": (
        IP(src=B4, dst=A4) / ICMP(type=3, code=3) / UDP4, Hit(make.ICMP_FLOW, REPLY, "header"),
    ),
    "another protocol between our pods": (IP(src=A4, dst=B4, proto=132) / make.Raw(b"\0" * 12),
        Hit(UNKNOWN_FLOW, REQUEST, "header")),
}  # fmt: skip


@pytest.mark.parametrize("how", WITHOUT_CANARY)
def test_frame_too_short_for_a_canary_is_known_by_its_header(how: str) -> None:
    packet, expected = WITHOUT_CANARY[how]
    assert make.index().find(wire(packet)) == expected


def test_second_fragment_shows_a_whole_canary() -> None:
    first, second = make.fragments(UDP4 / payload(make.UDP_FLOW, 2000))[:2]
    assert make.index().find(wire(second)) == Hit(make.UDP_FLOW, REQUEST, "canary")
    assert make.index().find(wire(first)) == Hit(make.UDP_FLOW, REQUEST, "canary")


def test_tail_fragment_of_eight_bytes_belongs_to_the_flow_of_its_first_fragment() -> None:
    index = make.index()
    parts = make.fragments(UDP4 / payload(make.UDP_FLOW, 1400))
    assert index.find(wire(parts[0])) == Hit(make.UDP_FLOW, REQUEST, "canary")
    assert len(parts[-1].payload) == 8
    assert index.find(wire(parts[-1])) == Hit(make.UDP_FLOW, REQUEST, "header")


def test_tail_fragment_alone_is_known_by_the_pair_of_pods() -> None:
    tail = make.fragments(UDP4 / payload(make.UDP_FLOW, 1400))[-1]
    assert make.index().find(wire(tail)) == Hit(make.UDP_FLOW, REQUEST, "header")


@pytest.mark.parametrize("cut", range(1, 16))
def test_canary_split_over_two_segments_shows_in_one_of_them(cut: int) -> None:
    stream = canary.fill(make.token(make.TCP_FLOW), 2800)
    for part in (stream[: 1400 + cut], stream[1400 + cut :]):
        assert make.index().find(wire(TCP4 / make.Raw(part))) == Hit(make.TCP_FLOW, REQUEST, "canary")


def test_any_31_bytes_hold_a_whole_canary() -> None:
    stream = canary.fill(make.token(7), 200)
    for at in range(200 - canary.WHOLE_WITHIN):
        window = stream[at : at + canary.WHOLE_WITHIN]
        assert make.CANARIES.read(window, window.index(make.PREFIX)) == (7, REQUEST)


def test_icmp_direction_comes_from_the_header_because_the_kernel_echoes_the_payload() -> None:
    data = payload(make.ICMP_FLOW, 56)
    assert make.index().find(wire(IP(src=A4, dst=B4) / ICMP(id=20001) / data)) == Hit(1, REQUEST, "canary")
    assert make.index().find(wire(IP(src=B4, dst=A4) / ICMP(type=0, id=20001) / data)) == Hit(1, REPLY, "canary")


@pytest.mark.parametrize("exclusive", [frozenset(), frozenset({make.packed(A4)})])
def test_the_direction_of_nodes_icmp_comes_from_the_header_too(exclusive: frozenset[bytes]) -> None:
    row = (9, 1, make.packed(NODE_A), make.packed(NODE_B), 20009)
    index = FlowIndex(make.CANARIES, [row], exclusive=exclusive)
    data = payload(9, 56)
    assert index.find(wire(IP(src=NODE_A, dst=NODE_B) / ICMP(id=20009) / data)) == Hit(9, REQUEST, "canary")
    assert index.find(wire(IP(src=NODE_B, dst=NODE_A) / ICMP(type=0, id=20009) / data)) == Hit(9, REPLY, "canary")
    # Without a canary it is nobody's: nodes ping each other for reasons of their own.
    assert index.find(wire(IP(src=NODE_A, dst=NODE_B) / ICMP(id=20009))) is None


def test_reply_canary_of_its_own() -> None:
    packet = IP(src=B4, dst=NODE_A) / UDP(sport=1, dport=2) / payload(make.UDP_FLOW, 64, REPLY)
    assert make.index().find(wire(packet)) == Hit(make.UDP_FLOW, REPLY, "canary")


OTHERS = {
    "other pods": IP(src="10.244.1.99", dst="10.244.2.99") / UDP(dport=20003) / make.Raw(b"x" * 60),
    "health probe to another endpoint": IP(src=NODE_A, dst="10.244.2.5") / TCP(dport=4240),
    "host to our pod on another port": IP(src=NODE_A, dst=B4) / TCP(dport=10250),
    "wireguard": OUTER / UDP(sport=51871, dport=51871) / make.Raw(b"\4\0\0\0" + b"\xab" * 124),
    "another run's canary": UDP4.copy() / make.Raw(canary.Canaries.of(b"another").make(3, 0) * 4),
}


@pytest.mark.parametrize("what", list(OTHERS)[:4])
def test_other_peoples_traffic_is_not_ours(what: str) -> None:
    assert make.index().find(wire(OTHERS[what])) is None


def test_a_broken_canary_is_ours_of_no_known_flow() -> None:
    broken = make.token(make.UDP_FLOW)[:-1] + b"\0"
    assert make.index().find(wire(OUTER / UDP() / make.Raw(broken))) == Hit(UNKNOWN_FLOW, REQUEST, "canary")


def test_random_frames_are_never_ours_and_never_break_the_search() -> None:
    dice, index = random.Random(7), make.index()  # noqa: S311
    bases = [wire(packet) for packet in [*WITH_CANARY.values(), *(packet for packet, _ in WITHOUT_CANARY.values())]]
    for _ in range(3000):
        assert index.find(dice.randbytes(dice.randrange(0, 200))) is None
        frame = bytearray(dice.choice(bases))
        for _ in range(dice.randrange(1, 8)):
            frame[dice.randrange(len(frame))] = dice.randrange(256)
        index.find(bytes(frame[: dice.randrange(len(frame) + 1)]))


@pytest.mark.parametrize("flows", [((1, 6, 20002), (2, 6, 40000)), ((2, 6, 20002), (1, 6, 40000))])
def test_the_ends_tell_a_reply_from_another_flow_s_request(flows: tuple[tuple[int, int, int], ...]) -> None:
    """A SYN-ACK to a client whose port is the server's port of a flow that has one of the two ends."""
    a, b, other = (ip_address(ip).packed for ip in (A4, B4, "10.244.3.10"))
    (own, protocol, port), (foreign, _, taken) = flows
    index = FlowIndex(make.CANARIES, [(own, protocol, a, b, port), (foreign, protocol, other, a, taken)])
    reply = IP(src=B4, dst=A4) / TCP(sport=port, dport=taken, flags="SA")
    assert index.find(wire(reply)) == Hit(own, REPLY, "header")


def test_a_canary_in_a_quote_is_cleartext() -> None:
    packet = IP(src=NODE_B, dst=NODE_A) / ICMP(type=3, code=3) / UDP4 / payload(make.UDP_FLOW, 100)
    assert make.index().find(wire(packet)) == Hit(make.UDP_FLOW, REQUEST, "canary")
