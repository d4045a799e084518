"""Which addresses a peer's allowed IPs cover, and which of two peers' allowed IPs overlap."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from pytest_ciliumwg.checks.covered import Covered, overlaps

ADDRESSES = ("10.0.0.0", "10.0.0.5", "10.0.0.255", "10.0.1.0", "0.0.0.10", "fd00::5", "fd00:0:0:1::", "::a")


@pytest.mark.parametrize(
    ("allowed_ips", "found"),
    [
        ((), ()),
        (("10.0.0.5/32", "fd00::5/128"), ("10.0.0.5", "fd00::5")),
        (("10.0.0.4/32", "10.0.0.6/32", "fd00::4/128"), ()),
        (("10.0.0.0/24",), ("10.0.0.0", "10.0.0.5", "10.0.0.255")),
        (("10.0.0.0/24", "10.0.0.0/30", "10.0.1.0/32"), ("10.0.0.0", "10.0.0.5", "10.0.0.255", "10.0.1.0")),
        (("fd00::/64",), ("fd00::5",)),
        (("::/0",), ("fd00::5", "fd00:0:0:1::", "::a")),
        (("0.0.0.0/0",), ("10.0.0.0", "10.0.0.5", "10.0.0.255", "10.0.1.0", "0.0.0.10")),
    ],
)
def test_covered(allowed_ips: Sequence[str], found: Sequence[str]) -> None:
    covered = Covered(map(ip_address, ADDRESSES))
    networks = frozenset(map(ip_network, allowed_ips))
    assert covered.by(networks) == frozenset(map(ip_address, found))
    assert covered.by(networks) == {ip for ip in map(ip_address, ADDRESSES) if any(ip in net for net in networks)}


@pytest.mark.parametrize(
    ("rows", "clashes"),
    [
        (("10.0.0.0/24 a", "10.0.1.0/24 b", "::/96 c", "0.0.0.0/30 d"), []),
        (("10.0.0.0/24 a", "10.0.0.7/32 a", "fd00::/64 a", "fd00::7/128 a"), []),
        (("10.0.0.7/32 b", "10.0.0.0/24 a", "10.0.0.9/32 a"), [("10.0.0.0/24", "10.0.0.7/32")]),
        (("10.0.0.7/32 a", "10.0.0.7/32 b"), [("10.0.0.7/32", "10.0.0.7/32")]),
        (("fd00::/64 a", "::/0 b", "fd00::7/128 b"), [("::/0", "fd00::/64")]),
    ],
)
def test_overlaps(rows: Sequence[str], clashes: Sequence[tuple[str, str]]) -> None:
    read = [(ip_network(network), owner) for network, owner in (row.split() for row in rows)]
    assert [(str(wide), str(narrow)) for (wide, _), (narrow, _) in overlaps(read)] == clashes
