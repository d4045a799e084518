"""Rules and routes, in the words of `ip -j rule show` and `ip -j route show`. Numbers: <linux/rtnetlink.h>."""

from __future__ import annotations

import struct
from typing import Any

from ..capture import netlink
from . import dump

_GET_RULE = 34
_HEADER = struct.Struct("=BBBBBBBBI")
_CLONED, _INVERTED = 0x200, 0x2
_TABLES = {253: "default", 254: "main", 255: "local"}
_TYPES = {2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable", 8: "prohibit",
          9: "throw"}  # fmt: skip
_HOP = struct.Struct("=HBBi")
_EVERY_MARK = 0xFFFFFFFF
_NO_CONDITION = frozenset({0, 2, 6, 10, 14, 15, 16, 18, 21})
"""Attributes of a rule that are told apart, or are none: padding, priority, mark, table, its maker and the like."""
_CONDITIONS = {3: "iif", 17: "oif"}


def rules(family: int) -> list[dict[str, Any]]:
    """The rules of a family."""
    return [_rule(body) for body in dump.dump(_GET_RULE, _HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))]


def _rule(body: bytes) -> dict[str, Any]:
    _, to_length, from_length, _, table, _, _, _, flags = _HEADER.unpack_from(body)
    found = netlink.attributes(body, _HEADER.size)
    told: dict[str, Any] = {
        "priority": netlink.number(found, 6, 0),
        "src": dump.address(found[2]) if 2 in found else "all",
        "table": _table(netlink.number(found, 15, table)),
    }
    if 2 in found:
        told["srclen"] = from_length
    if 1 in found:
        told["dst"] = f"{dump.address(found[1])}/{to_length}"
    if 10 in found:
        told["fwmark"] = f"{netlink.number(found, 10, 0):#x}"
        mask = netlink.number(found, 16, _EVERY_MARK)
        if mask != _EVERY_MARK:
            told["fwmask"] = f"{mask:#x}"
    if flags & _INVERTED:
        told["not"] = None
    told.update({name: dump.text(found[kind]) for kind, name in _CONDITIONS.items() if kind in found})
    others = found.keys() - _NO_CONDITION - _CONDITIONS.keys() - {1}
    told.update({f"attribute {kind}": found[kind].hex() for kind in others})
    return told


def routes(family: int) -> list[dict[str, Any]]:
    """The routes of a family in all tables, each with its table."""
    names = dump.names()
    bodies = dump.dump(netlink.GET_ROUTE, _HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))
    return [_route(body, names) for body in bodies if not _HEADER.unpack_from(body)[8] & _CLONED]


def _route(body: bytes, names: dict[int, str]) -> dict[str, Any]:
    _, length, _, _, table, _, _, kind, _ = _HEADER.unpack_from(body)
    found = netlink.attributes(body, _HEADER.size)
    told: dict[str, Any] = {
        "dst": f"{dump.address(found[1])}/{length}" if 1 in found else "default",
        "table": _table(netlink.number(found, 15, table)),
        **_hop(found, netlink.number(found, 4, 0), names),
    }
    if kind in _TYPES:
        told["type"] = _TYPES[kind]
    mtu = dump.word(dump.nested(found.get(8, b"")).get(2, b""))
    if mtu:
        told["metrics"] = [{"mtu": mtu}]
    if 9 in found:
        told["nexthops"] = [
            _hop(netlink.attributes(rest, 0), _HOP.unpack(head)[3], names) for head, rest in dump.lines(found[9], _HOP)
        ]
    return told


def _hop(found: netlink.Attributes, device: int, names: dict[int, str]) -> dict[str, Any]:
    told: dict[str, Any] = {"dev": names.get(device, f"if{device}")} if device else {}
    if 5 in found:
        told["gateway"] = dump.address(found[5])
    elif 18 in found:
        told["via"] = {"host": dump.address(found[18][2:])}
    return told


def _table(number: int) -> str:
    return _TABLES.get(number, str(number))
