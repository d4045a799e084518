"""ICMP echo requests and their answers, on a raw socket; a flow's port is the identifier."""

from __future__ import annotations

import socket
import struct

from .. import canary
from . import payload

_KINDS = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
_HEADER = struct.Struct(">BBHHH")
_NUMBERED = struct.Struct(">BBHHHI")
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1


def open_socket(family: int, source: str = "") -> socket.socket:
    """A socket that does not block and hears echo replies only, those to `source` if it is given.

    Raises:
        OSError: CAP_NET_RAW is missing, or the source address is.
    """
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    sock = socket.socket(family, socket.SOCK_RAW, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        _hear_replies_only(sock)
        if source:
            sock.bind((source, 0))
    except OSError:
        sock.close()
        raise
    return sock


def request(family: int, identifier: int, number: int, data: bytes) -> bytes:
    """An echo request; IPv6's checksum is the kernel's work."""
    kind = _KINDS[socket.AddressFamily(family)][0]
    packet = _HEADER.pack(kind, 0, 0, identifier, number & 0xFFFF) + data
    if family == socket.AF_INET:
        packet = packet[:2] + struct.pack(">H", ~_sum(packet) & 0xFFFF) + packet[4:]
    return packet


def answer(family: int, data: bytes) -> tuple[int, int] | None:
    """(identifier, number) of an echo reply as a raw socket gives it; None for anything else."""
    start = (data[0] & 15) * 4 if family == socket.AF_INET and data else 0
    if len(data) < start + 8 or data[start] != _KINDS[socket.AddressFamily(family)][1]:
        return None
    return struct.unpack_from(">H", data, start + 4)[0], payload.number_of(data[start + 8 :])


class Requests:
    """The echo requests of one flow, whose checksums need no second sum: only the number changes."""

    def __init__(self, family: int, identifier: int, token: bytes, size: int) -> None:
        self._kind = _KINDS[socket.AddressFamily(family)][0]
        self._identifier = identifier
        self._tail = canary.fill(token, size - 4)
        self._sum = _sum(_NUMBERED.pack(self._kind, 0, 0, identifier, 0, 0) + self._tail)

    def packet(self, number: int) -> bytes:
        """The request of that number."""
        low = number & 0xFFFF
        checksum = ~_folded(self._sum + (number >> 16) + low + low) & 0xFFFF
        return _NUMBERED.pack(self._kind, 0, checksum, self._identifier, low, number) + self._tail


def _hear_replies_only(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << 0) & 0xFFFFFFFF))
    else:
        blocked = [0xFFFFFFFF] * 8
        blocked[129 >> 5] &= ~(1 << (129 & 31))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *blocked))


def _sum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    return _folded(sum(struct.unpack(f">{len(data) // 2}H", data)))


def _folded(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
