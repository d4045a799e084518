"""A captured frame with other addresses in its headers, and nothing behind them."""

from __future__ import annotations

from ipaddress import ip_address

from pytest_ciliumwg.agent.capture.packet_headers import VLAN_TAGS, Packet, packets
from pytest_ciliumwg.agent.capture.packets import checksum
from pytest_ciliumwg.providers.offline.anonymous.addresses import Addresses

_ETHERNET = 14
_ADDRESSES = 12
"""Bytes of an Ethernet header's two addresses."""
_TAG = 4
_WITH_ETHERNET = ("vxlan", "geneve", "gre")
_TUNNEL_HEADER = 4
"""Bytes that the header of any tunnel with Ethernet in it has at least."""
_TCP, _OTHERS = 20, 8
_IS_TCP, _IS_UDP = 6, 17
_SOURCE4, _CHECKSUM4 = 12, 10


def anonymous_frame(frame: bytes, addresses: Addresses) -> bytes:
    """The frame; no device without Ethernet is native in a cluster that was watched, so it begins with Ethernet's."""
    data = bytearray(frame)
    _ethernet(data, 0, addresses)
    at = before = _ETHERNET
    for packet in packets(frame):
        start = frame.find(packet.source + packet.destination, at)
        if packet.tunnel in _WITH_ETHERNET:
            _ethernet(data, _ethernet_before(frame, before + _TUNNEL_HEADER, start - _header(packet)), addresses)
        size = len(packet.source)
        data[start : start + size] = addresses.address(ip_address(packet.source)).packed
        data[start + size : start + 2 * size] = addresses.address(ip_address(packet.destination)).packed
        if size == 4:
            _put_checksum(data, start - _SOURCE4)
        before = packet.payload
        at = before + _transport(packet)
    return bytes(data[:at]) + bytes(len(data) - at) if at < len(data) else bytes(data)


def _header(packet: Packet) -> int:
    """How far an IP header's addresses are behind its beginning."""
    return _SOURCE4 if len(packet.source) == 4 else 8


def _transport(packet: Packet) -> int:
    """How much of what is behind a packet's header is header too."""
    if packet.protocol == _IS_UDP or not packet.first:
        return 0
    return _TCP if packet.protocol == _IS_TCP else _OTHERS


def _ethernet_before(frame: bytes, least: int, ip: int) -> int:
    """Where the Ethernet header in front of an IP header begins, which may have tags of VLANs."""
    at = ip - _ETHERNET
    while at - _TAG >= least and frame[at + _ADDRESSES - _TAG : at + _ADDRESSES - _TAG + 2] in VLAN_TAGS:
        at -= _TAG
    return at if at >= least else -1


def _ethernet(data: bytearray, at: int, addresses: Addresses) -> None:
    for start in (at, at + 6) if at >= 0 else ():
        data[start : start + 6] = addresses.mac(bytes(data[start : start + 6]))


def _put_checksum(data: bytearray, at: int) -> None:
    """The checksum of an IPv4 header, with which the suite's own reader and others know one."""
    end = at + (data[at] & 15) * 4
    data[at + _CHECKSUM4 : at + _CHECKSUM4 + 2] = bytes(2)
    data[at + _CHECKSUM4 : at + _CHECKSUM4 + 2] = checksum(bytes(data[at:end])).to_bytes(2, "big")
