"""Frames made with scapy: a maker that shares nothing with the code under test."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.frames import FlowIndex

__all__ = [
    "GENEVE",
    "ICMP",
    "IP",
    "TCP",
    "UDP",
    "VXLAN",
    "Dot1Q",
    "Ether",
    "GeneveOptions",
    "ICMPv6EchoRequest",
    "ICMPv6PacketTooBig",
    "IPOption",
    "IPv6",
    "IPv6ExtHdrDestOpt",
    "IPv6ExtHdrFragment",
    "IPv6ExtHdrHopByHop",
    "IPv6ExtHdrRouting",
    "Raw",
]  # fmt: skip

SECRET = b"of the tests"
CANARIES = canary.Canaries.of(SECRET)
PREFIX = CANARIES.prefix
A4, B4, NODE_A, NODE_B = "10.244.1.10", "10.244.2.10", "172.18.0.2", "172.18.0.3"
A6, B6 = "fd00:10:244:1::a", "fd00:10:244:2::a"
ICMP_FLOW, TCP_FLOW, UDP_FLOW, ICMP6_FLOW, TCP6_FLOW = 1, 2, 3, 4, 5


ETHERNET = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
"""With both addresses: scapy would ask the network of this machine for one that is missing."""


def index() -> FlowIndex:
    """Five flows from pod A to pod B."""
    return FlowIndex(
        CANARIES,
        [
            (ICMP_FLOW, 1, packed(A4), packed(B4), 20001),
            (TCP_FLOW, 6, packed(A4), packed(B4), 20002),
            (UDP_FLOW, 17, packed(A4), packed(B4), 20003),
            (ICMP6_FLOW, 58, packed(A6), packed(B6), 20004),
            (TCP6_FLOW, 6, packed(A6), packed(B6), 20005),
        ],
    )


def token(flow: int, mark: int = canary.REQUEST) -> bytes:
    """The canary of a flow of `index`."""
    return CANARIES.make(flow, mark)


def payload(flow: int, size: int, mark: int = canary.REQUEST) -> Raw:
    """A payload full of the flow's canaries."""
    return Raw(canary.fill(token(flow, mark), size))


def fragments(packet: Any, size: int = 1400) -> list[Any]:
    """The packet's IP fragments."""
    return list(fragment(packet, fragsize=size))  # type: ignore[no-untyped-call]


def wire(packet: Any) -> bytes:
    """The packet behind an Ethernet header, as bytes."""
    return bytes(ETHERNET / packet)


def packed(address: str) -> bytes:
    return ip_address(address).packed
