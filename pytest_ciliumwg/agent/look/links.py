"""Devices with their addresses, in the words of `ip -j -d addr show`. Numbers are those of <linux/if.h>, if_link.h."""

from __future__ import annotations

import struct
from typing import Any

from ..capture import netlink
from . import dump

_GET_ADDRESS = 22
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_FLAGS = {
    "UP": 0x1, "BROADCAST": 0x2, "LOOPBACK": 0x8, "POINTOPOINT": 0x10, "NOARP": 0x80, "MASTER": 0x400, "SLAVE": 0x800,
    "MULTICAST": 0x1000, "LOWER_UP": 0x10000,
}  # fmt: skip
_TYPES = {1: "ether", 772: "loopback", 65534: "none"}
_MAC, _NAME, _MTU, _INFO = 1, 3, 4, 18


def links() -> list[dict[str, Any]]:
    """All devices."""
    addresses: dict[int, list[dict[str, Any]]] = {}
    for body in dump.dump(_GET_ADDRESS, _ADDRESS.pack(0, 0, 0, 0, 0)):
        _, length, _, _, device = _ADDRESS.unpack_from(body)
        found = netlink.attributes(body, _ADDRESS.size)
        local = found.get(2) or found.get(1, b"")
        if len(local) in (4, 16):
            addresses.setdefault(device, []).append({"local": dump.address(local), "prefixlen": length})
    request = _LINK.pack(0, 0, 0, 0, 0)
    return [_link(body, addresses) for body in dump.dump(netlink.GET_LINK, request)]


def _link(body: bytes, addresses: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    _, kind, number, flags, _ = _LINK.unpack_from(body)
    found = netlink.attributes(body, _LINK.size)
    told: dict[str, Any] = {
        "ifindex": number,
        "ifname": dump.text(found.get(_NAME, b"")),
        "flags": [name for name, bit in _FLAGS.items() if flags & bit],
        "mtu": dump.word(found.get(_MTU, b"")),
        "link_type": _TYPES.get(kind, str(kind)),
        "addr_info": addresses.get(number, []),
    }
    if len(found.get(_MAC, b"")) == 6:
        told["address"] = ":".join(f"{byte:02x}" for byte in found[_MAC])
    info = dump.nested(found.get(_INFO, b"")).get(1)
    if info:
        told["linkinfo"] = {"info_kind": dump.text(info)}
    return told
