"""Whether a frame was cut, when it was captured, before its headers end: what it carried then nobody knows."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ciliumwg.agent.capture.overlays import overlay
from pytest_ciliumwg.agent.capture.packet_headers import VLAN_TAGS, Packet

_IP = (b"\x08\x00", b"\x86\xdd")
_CARRIERS = (4, 41, 47)
"""IP in IP, IPv6 in IP, GRE."""
_UDP = 17
_ETHERNET, _TAG, _IPV6 = 14, 4, 40
_TUNNEL_HEADER = 8


def is_cut(frame: bytes, found: Sequence[Packet], *, ethernet: bool) -> bool:
    """Whether headers are missing at the end of a frame, of which these packets are known."""
    if not found:
        return not ethernet or len(frame) < _ETHERNET or _kind(frame) in _IP
    last = found[-1]
    inner = last.payload + _TUNNEL_HEADER + _ETHERNET + _IPV6
    if not last.first or len(frame) >= inner:
        return False
    if last.protocol == _UDP and overlay(frame, last.payload - 6, last.payload):
        return len(frame) < last.payload - 8 + int.from_bytes(frame[last.payload - 4 : last.payload - 2], "big")
    return last.protocol in _CARRIERS


def _kind(frame: bytes) -> bytes:
    """The type of an Ethernet frame behind its VLAN tags; IP's where these are cut."""
    at = _ETHERNET - 2
    while frame[at : at + 2] in VLAN_TAGS:
        at += _TAG
    return frame[at : at + 2] if len(frame) >= at + 2 else _IP[0]
