"""The headers of a frame from the outside in, at any depth: who sent to whom, and whether it is WireGuard's."""

from __future__ import annotations

import struct
from typing import NamedTuple

from .ipv6 import behind_extensions
from .overlays import GENEVE, overlay

IPV4, IPV6, TEB = 0x0800, 0x86DD, 0x6558
_VLANS = (0x8100, 0x88A8, 0x9100)
VLAN_TAGS = tuple(kind.to_bytes(2, "big") for kind in _VLANS)
"""The types of VLAN tags, as a header has them."""
_IPIP, _IP6IP, _GRE, _TCP, _UDP = 4, 41, 47, 6, 17
_WITH_PORTS = (6, 17, 132)
_DEEPEST = 8
_PLAIN4 = b"\x08\x00\x45"
"""EtherType and first byte of IPv4 without options."""
_WHOLE = (b"\x00\x00", b"\x40\x00")
"""IPv4's flags and offset of what is no fragment."""
_LEAST = 46
"""Ethernet's, IPv4's and UDP's headers, and what tells WireGuard's messages apart."""


class Packet(NamedTuple):
    """One IP header of a frame."""

    source: bytes
    destination: bytes
    protocol: int
    ports: tuple[int, int]
    """(0, 0) where it has none, or they are in another fragment."""
    tunnel: str
    """What it is inside, such as `vxlan`; empty for the outermost."""
    payload: int
    """Where the bytes behind its transport header begin, for UDP; else behind the IP header."""
    first: bool
    fragmented: bool


def headers_end(frame: bytes, *, ethernet: bool = True) -> int:
    """Where the headers of a frame end, with the 4 bytes behind that tell WireGuard's messages apart.

    Of a frame that is no IP packet it is the end of what any header there could say.
    """
    datagram = frame[12:15] == _PLAIN4 and frame[23:24] == b"\x11" and frame[20:22] in _WHOLE
    if ethernet and datagram and not overlay(frame, 36, 42):
        return _LEAST  # nearly all frames between nodes with WireGuard
    found = packets(frame, ethernet=ethernet)
    if not found:
        return _LEAST
    last = found[-1]
    if not last.first:
        return last.payload
    if last.protocol == _TCP:
        return last.payload + max(20, (frame[last.payload + 12] >> 4) * 4 if len(frame) > last.payload + 12 else 0)
    return last.payload + (4 if last.protocol == _UDP else 8)


def packets(frame: bytes, *, ethernet: bool = True) -> list[Packet]:
    """All IP headers of a frame, the outermost first; those that are cut off are left out."""
    found: list[Packet] = []
    try:
        kind, at = _ethertype(frame, 12) if ethernet else (_version(frame, 0), 0)
        tunnel = ""
        while len(found) < _DEEPEST:
            packet = _ip(frame, kind, at, tunnel)
            if packet is None:
                break
            found.append(packet)
            inner = _inner(frame, packet)
            if inner is None:
                break
            tunnel, kind, at = inner
    except (IndexError, struct.error):
        pass
    return found


def _ethertype(frame: bytes, at: int) -> tuple[int, int]:
    """The type of an Ethernet frame behind its VLAN tags, and where its payload begins."""
    kind = struct.unpack_from(">H", frame, at)[0]
    while kind in _VLANS:
        at += 4
        kind = struct.unpack_from(">H", frame, at)[0]
    return kind, at + 2


def _version(frame: bytes, at: int) -> int:
    return {4: IPV4, 6: IPV6}.get(frame[at] >> 4, 0)


def _ip(frame: bytes, kind: int, at: int, tunnel: str) -> Packet | None:
    if kind == IPV4 and frame[at] >> 4 == 4 and len(frame) >= at + 20:
        flags = struct.unpack_from(">H", frame, at + 6)[0]
        protocol, transport = frame[at + 9], at + (frame[at] & 15) * 4
        source, destination = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
        first, fragmented = not flags & 0x1FFF, bool(flags & 0x3FFF)
    elif kind == IPV6 and frame[at] >> 4 == 6 and len(frame) >= at + 40:
        source, destination = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
        protocol, transport, first, number = behind_extensions(frame, frame[at + 6], at + 40, _DEEPEST)
        fragmented = bool(number)
    else:
        return None
    with_ports = protocol in _WITH_PORTS and first and len(frame) >= transport + 4
    ports = struct.unpack_from(">HH", frame, transport) if with_ports else (0, 0)
    payload = transport + 8 if protocol == _UDP else transport
    return Packet(source, destination, protocol, ports, tunnel, payload, first, fragmented)


def _inner(frame: bytes, packet: Packet) -> tuple[str, int, int] | None:
    """What a packet carries, if it is another one: the tunnel, the type, and where it begins."""
    at = packet.payload
    if not packet.first:
        return None
    if packet.protocol in (_IPIP, _IP6IP):
        return "ipip", _version(frame, at), at
    if packet.protocol == _GRE:
        flags, kind = struct.unpack_from(">HH", frame, at)
        at += 4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
        return ("gre", *_ethertype(frame, at + 12)) if kind == TEB else ("gre", kind, at)
    if packet.protocol != _UDP:
        return None
    tunnel = overlay(frame, at - 6, at)
    if tunnel == GENEVE:
        options, kind = (frame[at] & 0x3F) * 4, struct.unpack_from(">H", frame, at + 2)[0]
        at += 8 + options
        return (tunnel, *_ethertype(frame, at + 12)) if kind == TEB else (tunnel, kind, at)
    return (tunnel, *_ethertype(frame, at + 8 + 12)) if tunnel else None
