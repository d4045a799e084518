"""What tc has at the egress of devices, in the words of `tc -j filter show`. Numbers are those of <linux/pkt_cls.h>."""

from __future__ import annotations

import struct
from typing import Any

from ..capture import netlink
from . import dump

_GET_FILTER, _EGRESS = 46, 0xFFFFFFF3
_TC = struct.Struct("=BxxxiIII")
_PROTOCOLS = {0x0003: "all", 0x0800: "ip", 0x86DD: "ipv6"}
_BPF_OPS, _BPF_NAME = 5, 7
_ACTIONS = {"u32": 7, "bpf": 1, "matchall": 2, "flower": 3}
"""Kind of a filter → the attribute that holds its actions."""
_MIRRED = struct.Struct("=5iiI")
_REDIRECT = 1


def filters() -> dict[str, list[dict[str, Any]]]:
    """Device → its filters for what leaves; devices without any are left out."""
    names = dump.names()
    found: dict[str, list[dict[str, Any]]] = {}
    for number, name in names.items():
        told = [_filter(body, names) for body in _bodies(number)]
        if told:
            found[name] = told
    return found


def _bodies(device: int) -> list[bytes]:
    return dump.dump(_GET_FILTER, _TC.pack(0, device, 0, _EGRESS, 0))


def _filter(body: bytes, names: dict[int, str]) -> dict[str, Any]:
    info = _TC.unpack_from(body)[4]
    found = netlink.attributes(body, _TC.size)
    kind, number = dump.text(found.get(1, b"")), _swapped(info & 0xFFFF)
    told: dict[str, Any] = {"protocol": _PROTOCOLS.get(number, f"{number:#06x}"), "pref": info >> 16, "kind": kind}
    options = dump.nested(found.get(2, b""))
    if not options:
        return told
    told["options"] = {"actions": list(_redirects(dump.nested(options.get(_ACTIONS.get(kind, 0), b"")), names))}
    if kind == "bpf":
        told["options"]["bpf_name"] = dump.text(options.get(_BPF_NAME, b"")) or "?"
        if _BPF_OPS in options:
            told["options"]["bytecode"] = options[_BPF_OPS].hex()
    return told


def _redirects(actions: netlink.Attributes, names: dict[int, str]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for action in map(dump.nested, actions.values()):
        parameters = dump.nested(action.get(2, b"")).get(2, b"")
        if dump.text(action.get(1, b"")) == "mirred" and len(parameters) >= _MIRRED.size:
            *_, way, device = _MIRRED.unpack_from(parameters)
            if way == _REDIRECT:
                to = names.get(device, "*")
                told.append({"kind": "mirred", "mirred_action": "redirect", "direction": "egress", "to_dev": to})
    return told


def _swapped(value: int) -> int:
    """From network order."""
    return (value & 0xFF) << 8 | value >> 8
