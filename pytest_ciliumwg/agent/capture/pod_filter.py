"""A kernel filter for packets between pods: plain, or behind VXLAN or Geneve; only their headers are handed over."""

from __future__ import annotations

import socket
import struct
from typing import Sequence, Tuple

from .bpf import NEXT, PROTOCOL, Program
from .overlays import BRIDGED, GENEVE_PORT, VXLAN_HEADER, VXLAN_PORTS
from .ring import Filter

Network = Tuple[bytes, int]
"""An address of 4 or 16 bytes, and how many bits of it count."""

_ETHERNET, _IPV4, _IPV6, _PORTS = 14, 20, 40, 4
_TUNNEL = 8 + 8 + _ETHERNET
"""UDP, the tunnel's own header, and the Ethernet header within."""
_UDP = 17
MOST_NETWORKS = 16
"""Of each family; the caller gives networks that cover more, not more networks."""


def parse_network(text: str) -> Network:
    """A network in CIDR notation.

    Raises:
        ValueError: it is none.
    """
    address, _, bits = text.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
    except OSError:
        raise ValueError(f"{text!r} is no network") from None
    if not bits.isdigit() or int(bits) > 8 * len(packed):
        raise ValueError(f"{text!r} is no network")
    return packed, int(bits)


def pod_filter(networks: Sequence[Network], *, ethernet: bool = True) -> Filter:
    """A program that hands over the headers of packets whose source and destination are both in these networks.

    Args:
        networks: The networks.
        ethernet: Whether frames begin with an Ethernet header, or with the IP header.

    Raises:
        ValueError: there are more networks than MOST_NETWORKS of a family.
    """
    four, six = ([network for network in networks if len(network[0]) == size] for size in (4, 16))
    if max(len(four), len(six)) > MOST_NETWORKS:
        raise ValueError(f"more than {MOST_NETWORKS} pod networks of a family")
    program = Program()
    protocol, ip = (12, _ETHERNET) if ethernet else (PROTOCOL, 0)
    program.load(protocol, 2)
    program.if_equal(0x0800, "ipv4")
    program.if_equal(0x86DD, "ipv6", "drop plain")
    program.label("drop plain")
    program.keep(0)
    program.label("ipv4")
    _both_in(program, "plain4", four, ip, source=12, destination=16, behind_x=False, otherwise="outer4")
    program.load_header_length(ip)
    program.x_to_a()
    program.add(ip + _PORTS)
    program.keep_a()
    program.label("outer4")
    _outer4(program, ip)
    program.label("ipv6")
    _both_in(program, "plain6", six, ip, source=8, destination=24, behind_x=False, otherwise="outer6")
    program.keep(ip + _IPV6 + _PORTS)
    program.label("outer6")
    program.load(ip + 6, 1)
    program.if_equal(_UDP, NEXT, "drop outer")
    program.set_x(_IPV6)
    program.jump("udp")
    program.label("drop outer")
    program.keep(0)
    program.label("udp")
    _tunnelled(program, ip, four, six)
    return program.assemble()


def _outer4(program: Program, ip: int) -> None:
    """Go on to `udp` with the header's length in X, if it is UDP's first fragment."""
    program.load(ip + 9, 1)
    program.if_equal(_UDP, NEXT, "no tunnel")
    program.load(ip + 6, 2)
    program.if_any(0x1FFF, "no tunnel")
    program.load_header_length(ip)
    program.jump("udp")
    program.label("no tunnel")
    program.keep(0)


def _tunnelled(program: Program, ip: int, four: Sequence[Network], six: Sequence[Network]) -> None:
    """Behind VXLAN or Geneve; X is the length of the outer IP header, which is at `ip`."""
    program.load(ip + 2, 2, behind_x=True)
    for port in VXLAN_PORTS:
        program.if_equal(port, "inner")
    program.if_equal(GENEVE_PORT, "geneve")
    # An overlay at another port is known by its header (see `overlays`).
    program.load(ip + 8, 4, behind_x=True)
    program.if_equal(int.from_bytes(VXLAN_HEADER, "big"), "inner")
    program.mask(0xFFFF)
    program.if_equal(int.from_bytes(BRIDGED, "big"), "geneve", "drop udp")
    program.label("drop udp")
    program.keep(0)
    program.label("geneve")
    program.load(ip + 8, 1, behind_x=True)
    program.mask(0x3F)
    program.shift(2)
    program.add_x()
    program.a_to_x()
    program.label("inner")
    program.load(ip + _TUNNEL - 2, 2, behind_x=True)
    program.if_equal(0x0800, "inner4")
    program.if_equal(0x86DD, "inner6", "drop inner")
    program.label("drop inner")
    program.keep(0)
    at = ip + _TUNNEL
    for name, networks, source, destination, size in (
        ("inner4", four, 12, 16, _IPV4),
        ("inner6", six, 8, 24, _IPV6),
    ):
        program.label(name)
        drop = f"drop {name}"
        _both_in(program, name, networks, at, source=source, destination=destination, behind_x=True, otherwise=drop)
        program.x_to_a()
        program.add(at + size + _PORTS)
        program.keep_a()
        program.label(drop)
        program.keep(0)


def _both_in(
    program: Program,
    name: str,
    networks: Sequence[Network],
    at: int,
    *,
    source: int,
    destination: int,
    behind_x: bool,
    otherwise: str,
) -> None:
    """Go on if the source and the destination of the IP header at `at` are in the networks; else jump."""
    for end, offset in (("source", source), ("destination", destination)):
        good = f"{name} {end}"
        for number, network in enumerate(networks):
            following = f"{name} {end} {number}"
            for word, (value, bits) in enumerate(_words(network)):
                program.load(at + offset + 4 * word, 4, behind_x=behind_x)
                program.mask(bits)
                program.if_equal(value, NEXT, following)
            program.jump(good)
            program.label(following)
        program.jump(otherwise)
        program.label(good)


def _words(network: Network) -> list[tuple[int, int]]:
    """The words of an address that count, each with its mask."""
    address, bits = network
    words = []
    for number, value in enumerate(struct.unpack(f">{len(address) // 4}I", address)):
        here = min(32, max(0, bits - 32 * number))
        mask = (0xFFFFFFFF << (32 - here)) & 0xFFFFFFFF
        if here:
            words.append((value & mask, mask))
    return words
