"""Kernel filters that part WireGuard's packets: its data messages in their plainest form, and all others."""

from __future__ import annotations

from .bpf import NEXT, PROTOCOL, Program
from .ring import Filter

_ETHERNET, _UDP, _FRAGMENT = 14, 17, 44
_DATA = 0x04000000
"""A data message's type and reserved bytes."""
_KEEPALIVE = 8 + 32
"""The UDP length of a data message without data."""
_ANY_FRAGMENT = 0x3FFF


def data_filter(port: int, snap: int) -> Filter:
    """Data messages with data, not fragmented, without IPv4 options or IPv6 extension headers."""
    return _parted(port, data=snap, others=0)


def others_filter(port: int, snap: int) -> Filter:
    """All other UDP from or to the port, and every UDP fragment.

    The kernel has taken VLAN tags out before the filter runs.
    """
    return _parted(port, data=0, others=snap)


def packet_filter(port: int, snap: int) -> Filter:
    """All of both on a device without Ethernet headers, where the kernel tells the protocol."""
    return _parted(port, data=snap, others=snap, ethernet=False)


def _parted(port: int, *, data: int, others: int, ethernet: bool = True) -> Filter:
    protocol, ip = (12, _ETHERNET) if ethernet else (PROTOCOL, 0)
    program = Program()
    program.load(protocol, 2)
    program.if_equal(0x0800, "ipv4")
    program.if_equal(0x86DD, "ipv6", "drop")
    _ipv4(program, ip, port)
    _ipv6(program, ip, port)
    program.label("data")
    program.keep(data)
    program.label("others")
    program.keep(others)
    program.label("drop")
    program.keep(0)
    return program.assemble()


def _ipv4(program: Program, ip: int, port: int) -> None:
    program.label("ipv4")
    program.load(ip + 9, 1)
    program.if_equal(_UDP, NEXT, "drop")
    program.load(ip + 6, 2)
    program.if_any(_ANY_FRAGMENT, "others")
    program.load_header_length(ip)
    program.load(ip, 2, behind_x=True)
    program.if_equal(port, "port4")
    program.load(ip + 2, 2, behind_x=True)
    program.if_equal(port, "port4", "drop")
    program.label("port4")
    program.load(ip, 1)
    program.if_equal(0x45, NEXT, "others")
    _is_data(program, ip + 20)


def _ipv6(program: Program, ip: int, port: int) -> None:
    program.label("ipv6")
    program.load(ip + 6, 1)
    program.if_equal(_FRAGMENT, "others")
    program.if_equal(_UDP, NEXT, "drop")
    program.load(ip + 40, 2)
    program.if_equal(port, "port6")
    program.load(ip + 42, 2)
    program.if_equal(port, "port6", "drop")
    program.label("port6")
    _is_data(program, ip + 40)


def _is_data(program: Program, udp: int) -> None:
    """Jump to `data` or `others` by the datagram that begins there."""
    program.load(udp + 4, 2)
    program.if_greater(_KEEPALIVE, NEXT, "others")
    program.load(udp + 8, 4)
    program.if_equal(_DATA, "data", "others")
