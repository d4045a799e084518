"""Read rtnetlink messages: headers, attributes, and the few structures that matter here.

Layouts and numbers are those of Linux' <linux/netlink.h>, <linux/rtnetlink.h>, <linux/fib_rules.h>.
"""

from __future__ import annotations

import socket
import struct
from typing import Dict, Iterator, NamedTuple

NEW_LINK, DEL_LINK, GET_LINK = 16, 17, 18
NEW_ROUTE, DEL_ROUTE, GET_ROUTE = 24, 25, 26
NEW_NEIGHBOUR, GET_NEIGHBOUR = 28, 30
NEW_RULE, DEL_RULE = 32, 33
NEW_QDISC, DEL_QDISC = 36, 37
NEW_FILTER, DEL_FILTER = 44, 45
ERROR, DONE = 2, 3
REPLACE = 0x100

_LINK_GROUP, _TC_GROUP = 1, 4
_ROUTE4_GROUP, _RULE4_GROUP, _ROUTE6_GROUP, _RULE6_GROUP = 7, 8, 11, 19
_GROUPS = (_LINK_GROUP, _TC_GROUP, _ROUTE4_GROUP, _RULE4_GROUP, _ROUTE6_GROUP, _RULE6_GROUP)
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_SO_RCVBUFFORCE = 33
_REQUEST, _DUMP = 0x1, 0x300
_RECEIVE_BUFFER = 4 << 20
_DESTINATION = 1
_FAMILIES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_TC = struct.Struct("=BxxxiIII")

Attributes = Dict[int, bytes]


class Message(NamedTuple):
    """One message; `body` is what follows the header."""

    kind: int
    flags: int
    sequence: int
    body: bytes


class Link(NamedTuple):
    """A device."""

    family: int
    """0; a bridge's ports have messages of their own family."""
    number: int
    flags: int
    name: str


class Route(NamedTuple):
    """A route, or a rule: they share a layout."""

    family: str
    """IPv4 or IPv6."""
    number: int
    table: int
    prefix: int
    """Bits of the destination; 0 for the default route."""
    flags: int
    attributes: Attributes


class Traffic(NamedTuple):
    """A qdisc or a filter."""

    device: int
    parent: int
    kind: str


def monitor() -> socket.socket:
    """A socket that does not block and hears of links, routes, rules, qdiscs and filters; needs no capability."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)  # as much as is allowed to all
        sock.bind((0, 0))
        for group in _GROUPS:
            sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except BaseException:
        sock.close()
        raise
    return sock


def ask_for_links(sequence: int) -> bytes:
    """The request that makes the kernel list all links, in messages of that sequence number."""
    return request(GET_LINK, _LINK.pack(0, 0, 0, 0, 0), dump=True, sequence=sequence)


def request(kind: int, body: bytes, *, dump: bool = False, sequence: int = 1) -> bytes:
    """A request, for one answer or for a list."""
    flags = _REQUEST | (_DUMP if dump else 0)
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def route_to(family: int, address: bytes) -> bytes:
    """The body that asks for the route to an address."""
    bits, size = 8 * len(address), _ATTRIBUTE.size + len(address)
    return _ROUTE.pack(family, bits, 0, 0, 0, 0, 0, 0, 0) + _ATTRIBUTE.pack(size, _DESTINATION) + address


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram; ends at the first that is no whole one."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield Message(kind, flags, sequence, data[at + _HEADER.size : at + length])
        at += _aligned(length)


def link(body: bytes) -> Link:
    """Read a link; like all readers here it raises struct.error where the bytes are too few."""
    family, _, index, flags, _ = _LINK.unpack_from(body)
    name = attributes(body, _LINK.size).get(3, b"")
    return Link(family, index, flags, _text(name))


def route(body: bytes) -> Route:
    """Read a route or a rule; ValueError for another family than IP."""
    family, prefix, _, _, table, _, _, _, flags = _ROUTE.unpack_from(body)
    if family not in _FAMILIES:
        raise ValueError("no IP")
    found = attributes(body, _ROUTE.size)
    return Route(_FAMILIES[family], family, number(found, 15, table), prefix, flags, found)


def traffic(body: bytes) -> Traffic:
    """Read a qdisc or a filter."""
    _, index, _, parent, _ = _TC.unpack_from(body)
    return Traffic(index, parent, _text(attributes(body, _TC.size).get(1, b"")))


def number(found: Attributes, kind: int, default: int) -> int:
    """An attribute of 32 bits."""
    value = found.get(kind, b"")
    return int(struct.unpack("=I", value)[0]) if len(value) == 4 else default


def attributes(body: bytes, at: int) -> Attributes:
    """The attributes from an offset on; ends at the first that is no whole one."""
    found: Attributes = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = body[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")


def _aligned(size: int) -> int:
    return (size + 3) & ~3
