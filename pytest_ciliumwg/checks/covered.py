"""Which addresses a peer's allowed IPs cover: found once, for all nodes tell the same of a peer."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork

Row = tuple[IPNetwork, str]
"""An allowed IP, and whose it is."""


class Covered:
    """Finds which of some addresses are among allowed IPs."""

    def __init__(self, addresses: Iterable[IPAddress]) -> None:
        ordered = sorted(set(addresses), key=lambda ip: (ip.version, int(ip)))
        self._of_version = {version: [ip for ip in ordered if ip.version == version] for version in (4, 6)}
        self._found: dict[frozenset[IPNetwork], frozenset[IPAddress]] = {}

    def by(self, allowed_ips: frozenset[IPNetwork]) -> frozenset[IPAddress]:
        """The addresses that are in one of these networks."""
        if (found := self._found.get(allowed_ips)) is None:
            found = frozenset(ip for network in allowed_ips for ip in self._within(network))
            self._found[allowed_ips] = found
        return found

    def _within(self, network: IPNetwork) -> Sequence[IPAddress]:
        addresses = self._of_version[network.version]
        first = bisect_left(addresses, int(network.network_address), key=int)
        return addresses[first : bisect_right(addresses, int(network.broadcast_address), lo=first, key=int)]


def overlaps(rows: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """Pairs of rows of different owners, where the network of the one contains that of the other."""
    widest: Row | None = None
    for row in sorted(rows, key=lambda row: (row[0].version, int(row[0].network_address), row[0].prefixlen)):
        if widest is not None and row[0].version == widest[0].version and row[0].network_address in widest[0]:
            if row[1] != widest[1]:
                yield widest, row
            continue
        widest = row
