"""Say in words how a frame is wrapped, such as `eth/ipv4/udp:8472/vxlan/eth/ipv4/icmp`: evidence for a reader."""

from __future__ import annotations

import struct
from typing import Optional, Tuple

from .link_layer import is_made_up
from .overlays import overlay

_VLAN_TYPES = (0x8100, 0x88A8)
_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 58: "icmpv6", 132: "sctp"}
_EXTENSIONS = {0: "hopopts", 43: "routing", 60: "dstopts", 51: "ah"}
_TEB = 0x6558
_MOST = 16


def describe(frame: bytes, vlan: int | None = None) -> str:
    """The frame's layers from the outside in; stops where the bytes make no sense."""
    names = [] if is_made_up(frame) else ["eth"]
    if vlan is not None:
        names.append(f"vlan:{vlan & 0xFFF}")
    at: tuple[str, int] | None = ("eth", 0)
    while at is not None and len(names) < _MOST:
        try:
            name, at = _step(at[0], frame, at[1])
        except (IndexError, struct.error):
            break
        if name:
            names.append(name)
    return "/".join(names)


_Step = Tuple[str, Optional[Tuple[str, int]]]


def _ethernet(frame: bytes, at: int) -> _Step:
    return _by_ethertype(frame, at + 12)


def _by_ethertype(frame: bytes, at: int) -> _Step:
    kind = struct.unpack_from(">H", frame, at)[0]
    if kind == 0x0800:
        return "", ("ipv4", at + 2)
    if kind == 0x86DD:
        return "", ("ipv6", at + 2)
    if kind in _VLAN_TYPES:
        tag = struct.unpack_from(">H", frame, at + 2)[0] & 0xFFF
        return f"vlan:{tag}", ("ethertype", at + 4)
    return f"0x{kind:04x}", None


def _ipv4(frame: bytes, at: int) -> _Step:
    fragment = struct.unpack_from(">H", frame, at + 6)[0]
    if fragment & 0x1FFF:
        return f"ipv4 fragment+{(fragment & 0x1FFF) * 8}", None
    protocol, after = frame[at + 9], at + (frame[at] & 15) * 4
    return "ipv4", (f"transport {protocol}", after)


def _ipv6(frame: bytes, at: int) -> _Step:
    return "ipv6", (f"transport {frame[at + 6]}", at + 40)


def _transport(protocol: int, frame: bytes, at: int) -> _Step:
    if protocol in (4, 41):
        return "", ("ipv4" if protocol == 4 else "ipv6", at)
    if protocol == 44:
        offset = struct.unpack_from(">H", frame, at + 2)[0] & 0xFFF8
        return (f"fragment+{offset}", None) if offset else ("frag", (f"transport {frame[at]}", at + 8))
    if protocol in _EXTENSIONS:
        unit = 4 if protocol == 51 else 8
        return _EXTENSIONS[protocol], (f"transport {frame[at]}", at + 8 + frame[at + 1] * unit)
    name = _NAMES.get(protocol, f"protocol {protocol}")
    if protocol in (6, 17):
        port = struct.unpack_from(">H", frame, at + 2)[0]
        tunnel = overlay(frame, at + 2, at + 8) if protocol == 17 else ""
        return f"{name}:{port}", (tunnel, at + 8) if tunnel else None
    return name, None


def _vxlan(_frame: bytes, at: int) -> _Step:
    return "vxlan/eth", ("eth", at + 8)


def _geneve(frame: bytes, at: int) -> _Step:
    options = (frame[at] & 0x3F) * 4
    inner = struct.unpack_from(">H", frame, at + 2)[0]
    if inner == _TEB:
        return "geneve/eth", ("eth", at + 8 + options)
    return "geneve", ("ipv6" if inner == 0x86DD else "ipv4", at + 8 + options)


def _step(layer: str, frame: bytes, at: int) -> _Step:
    kind, _, protocol = layer.partition(" ")
    return _transport(int(protocol), frame, at) if kind == "transport" else _LAYERS[kind](frame, at)


_LAYERS = {
    "eth": _ethernet,
    "ethertype": _by_ethertype,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "vxlan": _vxlan,
    "geneve": _geneve,
}
