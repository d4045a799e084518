"""Frames that are evidence keep their layers, and lose every address and all that is behind the headers."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pytest_ciliumwg.agent.capture.packet_headers import packets
from pytest_ciliumwg.providers.offline.anonymous.addresses import Addresses
from pytest_ciliumwg.providers.offline.anonymous.frames import anonymous_frame
from tests.offline.frames import MACS, echo, ethernet, geneve, ip, udp, vlan, vxlan

A, B, NODES = "10.0.1.7", "10.0.2.9", ("172.18.0.3", "172.18.0.4")
A6, B6 = "fd00:10::1:7", "fd00:10::2:9"
TCP = bytes([0, 1, 0, 80, *bytes(8), 0x50, *bytes(7)]) + b"secret"
FRAMES = {
    "udp": ethernet(ip(A, B, 17, udp(1000, 53, b"secret"))),
    "tcp": ethernet(ip(A, B, 6, TCP)),
    "v6": ethernet(ip(A6, B6, 17, udp(1000, 53, b"secret"))),
    "vlans": vlan(vlan(ethernet(ip(A, B, 17, udp(1, 2, b"secret"))), 7), 8),
    "vxlan": ethernet(vxlan(NODES, ip(A, B, 17, udp(1, 2, b"secret")))),
    "geneve": ethernet(geneve(NODES, ip(A6, B6, 17, udp(1, 2, b"secret")))),
    "ipip": ethernet(ip(*NODES, 4, echo(A, B))),
    "gre": ethernet(ip(*NODES, 47, b"\0\0\x08\0" + echo(A, B))),
    "gretap": ethernet(ip(*NODES, 47, b"\0\0\x65\x58" + vlan(ethernet(echo(A, B)), 9))),
    "nothing": ethernet(b"secret " + ip_address(A).packed, kind=0x88B5),
}
REAL = [ip_address(text).packed for text in (A, B, A6, B6, *NODES)] + [*MACS.values(), b"secret"]


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_frame_without_addresses_and_payload(frame: bytes) -> None:
    addresses = Addresses()
    changed = anonymous_frame(frame, addresses)
    assert len(changed) == len(frame)
    for real in REAL:
        assert real not in changed
    for before, after in zip(packets(frame), packets(changed), strict=True):
        assert after[2:] == before[2:]
        for old, new in ((before.source, after.source), (before.destination, after.destination)):
            assert ip_address(new) == addresses.address(ip_address(old))
    assert all(_checksum(changed, at) == 0xFFFF for at in _headers(changed))


def _headers(frame: bytes) -> list[int]:
    found = [packet for packet in packets(frame) if len(packet.source) == 4]
    return [frame.index(packet.source + packet.destination) - 12 for packet in found]


def _checksum(frame: bytes, at: int) -> int:
    total = sum(int.from_bytes(frame[word : word + 2], "big") for word in range(at, at + 20, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
