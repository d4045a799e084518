"""Other addresses in place of real ones: the same for the same, and in one network where the real ones are in one.

Each bit is flipped or kept by what a keyed hash says of the bits in front of it, so that any two addresses have as long
a prefix in common as the real ones, and no two become one. What an address is for stays: a private one stays private.
The first bit that tells something is always flipped: of 172.18.0.0/16 four bits are free, and it shall not stay itself.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from ipaddress import IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork

_CLASSES = {
    4: ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"),
    6: ("2000::/3", "fd00::/8", "fe80::/64", "ff02::1:ff00:0/104"),
}
"""The networks that addresses do not leave. What is behind these bits of the last two was made of other addresses."""
_KEPT = {
    4: ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
    6: ("::/64", "64:ff9b::/96", "ff00::/8"),
}
"""Addresses that are the same everywhere, and tell nothing of a cluster."""
_BROADCAST, _NONE = b"\xff" * 6, bytes(6)
_OF_IPV4_GROUPS, _OF_IPV6_GROUPS = b"\x01\x00\x5e", b"\x33\x33"
_LOCAL = b"\x02"


class Addresses:
    """Replaces the addresses of one run, by a key that nobody is told."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._bits = cache(self._replaced)

    def address(self, address: IPAddress) -> IPAddress:
        """The address that stands for another."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            return IPv6Address(0xFFFF << 32 | int(self.address(address.ipv4_mapped)))
        number = self._bits(int(address), address.version, address.max_prefixlen)
        return type(address)(number)

    def network(self, network: IPNetwork) -> IPNetwork:
        """The network that stands for another; it holds what stands for the addresses in that."""
        number = self._bits(int(network.network_address), network.version, network.prefixlen)
        return type(network)((number, network.prefixlen))

    def interface(self, interface: IPv4Interface | IPv6Interface) -> IPv4Interface | IPv6Interface:
        """An address with the length of its network."""
        return type(interface)((int(self.address(interface.ip)), interface.network.prefixlen))

    def mac(self, address: bytes) -> bytes:
        """The Ethernet address that stands for another; what it is for stays."""
        if address in (_BROADCAST, _NONE) or address.startswith(_OF_IPV4_GROUPS):
            return address
        head = _OF_IPV6_GROUPS if address.startswith(_OF_IPV6_GROUPS) else _LOCAL
        return head + self._hash(b"mac" + address)[: 6 - len(head)]

    def _hash(self, data: bytes) -> bytes:
        return hashlib.blake2s(data, key=self._key).digest()

    def _replaced(self, number: int, version: int, length: int) -> int:
        """The first bits of an address, replaced; the others are 0."""
        if not length:
            return 0
        width = 32 if version == 4 else 128
        before = number >> (width - length + 1)
        kept = self._bits(before << (width - length + 1), version, length - 1)
        bit = number >> (width - length) & 1
        if not _is_fixed(before, version, length - 1):
            is_first = length == 1 or _is_fixed(before >> 1, version, length - 2)
            bit ^= is_first or self._hash(b"%d %d %x" % (version, length, before))[0] & 1
        return kept | bit << (width - length)


@cache
def _fixed(version: int) -> tuple[frozenset[tuple[int, int]], frozenset[tuple[int, int]]]:
    """Prefixes, as (bits, length): those behind which the next bit stays, and those behind which all do."""
    inside = {_prefix(network) for network in _KEPT[version]}
    ways = set()
    for bits, length in (*inside, *map(_prefix, _CLASSES[version])):
        ways |= {(bits >> (length - shorter), shorter) for shorter in range(length)}
    return frozenset(ways), frozenset(inside)


def _prefix(text: str) -> tuple[int, int]:
    network = IPv6Network(text) if ":" in text else IPv4Network(text)
    return int(network.network_address) >> (network.max_prefixlen - network.prefixlen), network.prefixlen


def _is_fixed(bits: int, version: int, length: int) -> bool:
    """Whether the bit behind these is the same in all runs."""
    ways, inside = _fixed(version)
    if (bits, length) in ways:
        return True
    if version == 6 and length >= _SOLICITED[1] and bits >> (length - _SOLICITED[1]) == _SOLICITED[0]:
        return False
    return any(length >= most and bits >> (length - most) == prefix for prefix, most in inside)


_SOLICITED = _prefix("ff02::1:ff00:0/104")
"""The only kept addresses that tell something: the last 24 bits are those of the address that is asked for."""
