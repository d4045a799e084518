"""Packets behind headers that nobody here reads (MPLS, PPPoE, FOU, GUE, …): an IP header shows itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ciliumwg.agent.capture.frames import header_sum
from pytest_ciliumwg.agent.capture.packet_headers import Packet

UNKNOWN = "an unknown header"
_ETHERNET = 14
_TCP, _UDP, _ICMP, _ICMP6, _ESP = 6, 17, 1, 58, 50
_CARRY_NONE = (_TCP, _ICMP, _ICMP6, _ESP)
"""ICMP's errors quote the headers of packets that were not delivered; in TCP is what programs write; ESP encrypts."""
_CARRIED6 = (0, _TCP, _UDP, 44, _ICMP6, 132)
"""What follows IPv6's header, which has no checksum to be known by."""
_FURTHEST, _FURTHEST_IN_UDP = 40, 24
"""Bytes in front of a packet at most; further behind, monitors quote headers in what they send to a collector."""
_VALID = 0xFFFF
"""What the words of a header with its checksum add up to."""


def hidden_packets(frame: bytes, found: Sequence[Packet]) -> Iterator[Packet]:
    """What looks like an IP header behind all headers of a frame that were read."""
    if found and (found[-1].protocol in _CARRY_NONE or not found[-1].first):
        return
    first = found[-1].payload if found else _ETHERNET
    in_udp = bool(found) and found[-1].protocol == _UDP
    furthest = _FURTHEST_IN_UDP if in_udp else _FURTHEST
    for at in range(first, min(first + furthest, len(frame) - 20) + 1):
        version, size, protocol = frame[at] >> 4, 0, 0
        if version == 4 and _is_header(frame, at):
            size, protocol = 4, frame[at + 9]
        elif version == 6 and _is_header6(frame, at, first if in_udp else 0):
            size, protocol = 16, frame[at + 6]
        if size:
            ends = at + (12 if size == 4 else 8)
            source, destination = frame[ends : ends + size], frame[ends + size : ends + 2 * size]
            yield Packet(source, destination, protocol, (0, 0), UNKNOWN, at, True, False)


def _is_header(frame: bytes, at: int) -> bool:
    size = (frame[at] & 15) * 4
    return size >= 20 and at + size <= len(frame) and header_sum(frame, at, size) == _VALID


def _is_header6(frame: bytes, at: int, datagram: int) -> bool:
    """Whether it may be IPv6's; in a datagram, whose bytes begin at a place, it has to end with it."""
    if at + 40 > len(frame) or frame[at + 6] not in _CARRIED6:
        return False
    size = int.from_bytes(frame[at + 4 : at + 6], "big")
    return not datagram or at + 40 + size == datagram - 8 + int.from_bytes(frame[datagram - 4 : datagram - 2], "big")
