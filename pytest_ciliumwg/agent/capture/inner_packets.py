"""The packets in what an overlay sends through the tunnel: one in each UDP message, unless a tun device merged some.

With UDP segmentation offload a tun device makes one packet of UDP messages that follow each other between the same
ports. Between two nodes' ends of an overlay these may be packets of several flows.
"""

from __future__ import annotations

import mmap
import socket
from typing import Iterator

from .overlays import GENEVE, overlay
from .packet_headers import IPV4, IPV6, TEB
from .ring import Frame

_UDP, _TCP, _HEADER, _ETHERNET = 8, 20, 8, 14
"""Bytes of UDP's header; of TCP's without options; of VXLAN's, and of Geneve's without; of an Ethernet header."""
_LEAST = {IPV4: 20, IPV6: 40}


def inner_packets(memory: mmap.mmap, frame: Frame) -> Iterator[Frame]:
    """Each IP packet that a packet of VXLAN or Geneve holds, from its IP header to its end; else the packet as it is.

    `frame` begins with its IP header.
    """
    tunnel, at = _tunnel(memory, frame)
    packet = _inner(memory, frame, tunnel, at) if tunnel else None
    if packet is None:
        yield frame
    while packet is not None:
        yield packet
        packet = _inner(memory, frame, tunnel, packet.end)


def udp_payload(memory: mmap.mmap, packet: Frame) -> int:
    """Bytes of the UDP message or messages in a packet that begins with its IP header; 0 where that is not told."""
    protocol, at = _transport(memory, packet)
    return packet.end - at - _UDP if protocol == socket.IPPROTO_UDP else 0


def ends_of_bare_segment(memory: mmap.mmap, packet: Frame) -> bytes:
    """Both addresses and ports of a TCP segment that is nothing but headers; empty for every other packet."""
    protocol, at = _transport(memory, packet)
    if protocol != socket.IPPROTO_TCP or at + _TCP > packet.end or at + (memory[at + 12] >> 4) * 4 != packet.end:
        return b""
    return memory[packet.start + (8 if memory[packet.start] >> 4 == 6 else 12) : at + 4]


def _transport(memory: mmap.mmap, packet: Frame) -> tuple[int, int]:
    """What follows on a packet's IP header, and where; (0, 0) where that is in another fragment, or cut off."""
    start = packet.start
    if packet.end - start < _LEAST[IPV4] + _UDP:
        return 0, 0
    six = memory[start] >> 4 == 6
    at = start + (40 if six else (memory[start] & 15) * 4)
    later = not six and (memory[start + 6] & 0x1F or memory[start + 7])
    return (0, 0) if later or at + _UDP > packet.end else (memory[start + (6 if six else 9)], at)


def _tunnel(memory: mmap.mmap, frame: Frame) -> tuple[str, int]:
    """The overlay, and where its first header begins; an empty name for what is no packet of one."""
    protocol, at = _transport(memory, frame)
    return (overlay(memory, at + 2, at + _UDP), at + _UDP) if protocol == socket.IPPROTO_UDP else ("", 0)


def _inner(memory: mmap.mmap, frame: Frame, tunnel: str, at: int) -> Frame | None:
    """The packet behind the overlay's header at a place; None where no IP packet is."""
    if at + _HEADER + _ETHERNET > frame.end:
        return None
    kind, start = TEB, at + _HEADER
    if tunnel == GENEVE:
        kind, start = _number(memory, at + 2), start + (memory[at] & 0x3F) * 4
    if kind == TEB:
        kind, start = _number(memory, start + _ETHERNET - 2), start + _ETHERNET
    if kind not in _LEAST or start + _LEAST[kind] > frame.end:
        return None
    length = _number(memory, start + (2 if kind == IPV4 else 4))
    # A length of 0 is that of a packet that is too large to say it.
    size = length + (40 if kind == IPV6 else 0) if length else frame.end - start
    return frame._replace(start=start, end=min(frame.end, start + max(size, _LEAST[kind])))


def _number(memory: mmap.mmap, at: int) -> int:
    return int.from_bytes(memory[at : at + 2], "big")
