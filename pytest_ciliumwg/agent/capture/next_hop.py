"""Which device a packet to an address leaves by, and to whose Ethernet address: as the kernel's tables have it.

Layouts and numbers are those of Linux' <linux/rtnetlink.h> and <linux/neighbour.h>. It takes no capability.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Iterator, NamedTuple

from . import netlink
from .link_layer import has_ethernet

_DESTINATION, _DEVICE, _GATEWAY, _SOURCE, _VIA = 1, 4, 5, 7, 18
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ADDRESS, _ETHERNET = 1, 2
_NO_ETHERNET_YET = 0x01 | 0x20 | 0x40
"""Neighbours whose entry holds no Ethernet address: incomplete, failed, and those that need none."""
_SECONDS = 2.0


class NextHop(NamedTuple):
    """Where a packet goes first."""

    device: str
    source: bytes
    """The address that the kernel would send it from, packed."""
    ethernet: bytes
    """Empty on a device without Ethernet."""


def next_hop(target: bytes) -> NextHop:
    """The next hop towards an address (packed).

    Raises:
        OSError: there is no route, or who is there is not known yet.
    """
    family = socket.AF_INET if len(target) == 4 else socket.AF_INET6
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_SECONDS)
        attributes = _route(sock, family, target)
        device = netlink.number(attributes, _DEVICE, 0)
        name, source = socket.if_indextoname(device), attributes.get(_SOURCE, b"")
        if not source:
            raise OSError(errno.EADDRNOTAVAIL, f"the route by {name} names no source address")
        if not has_ethernet(name):
            return NextHop(name, source, b"")
        via = attributes.get(_GATEWAY) or attributes.get(_VIA, b"")[2:] or target
        return NextHop(name, source, _ethernet_of(sock, device, via))


def _route(sock: socket.socket, family: int, target: bytes) -> netlink.Attributes:
    request = netlink.request(netlink.GET_ROUTE, netlink.route_to(family, target))
    sock.send(request)
    for message in netlink.messages(sock.recv(65536)):
        if message.kind == netlink.NEW_ROUTE:
            return netlink.route(message.body).attributes
        if message.kind == netlink.ERROR:
            code = -struct.unpack_from("=i", message.body)[0]
            raise OSError(code, os.strerror(code))
    raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))


def _ethernet_of(sock: socket.socket, device: int, address: bytes) -> bytes:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    sock.send(netlink.request(netlink.GET_NEIGHBOUR, _NEIGHBOUR.pack(family, 0, 0, 0, 0), dump=True))
    found = [ethernet for entry, at, ethernet in _neighbours(sock) if (entry, at) == (device, address)]
    if not found:
        raise OSError(errno.EHOSTUNREACH, "who is at the next hop is not known yet")
    return found[0]


def _neighbours(sock: socket.socket) -> Iterator[tuple[int, bytes, bytes]]:
    """(device, address, Ethernet address) of all neighbours that have one."""
    while True:
        for message in netlink.messages(sock.recv(65536)):
            if message.kind in (netlink.DONE, netlink.ERROR):
                return
            if message.kind == netlink.NEW_NEIGHBOUR:
                _, device, state, _, _ = _NEIGHBOUR.unpack_from(message.body)
                attributes = netlink.attributes(message.body, _NEIGHBOUR.size)
                ethernet = attributes.get(_ETHERNET, b"")
                if len(ethernet) == 6 and not state & _NO_ETHERNET_YET:
                    yield device, attributes.get(_ADDRESS, b""), ethernet
