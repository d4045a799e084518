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

_UDP, _HEADER, _ETHERNET = 8, 8, 14
"""Bytes of UDP's header; of VXLAN's, and of Geneve's without options; of an Ethernet header."""
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


def _tunnel(memory: mmap.mmap, frame: Frame) -> tuple[str, int]:
    """The overlay, and where its first header begins; an empty name for what is no packet of one."""
    start = frame.start
    if frame.end - start < _LEAST[IPV4] + _UDP:
        return "", 0
    six = memory[start] >> 4 == 6
    udp = start + (40 if six else (memory[start] & 15) * 4)
    later = not six and (memory[start + 6] & 0x1F or memory[start + 7])
    if memory[start + (6 if six else 9)] != socket.IPPROTO_UDP or later or udp + _UDP > frame.end:
        return "", 0
    return overlay(memory, udp + 2, udp + _UDP), udp + _UDP


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
