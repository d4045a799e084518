"""The addresses of test pods among the nodes' allowed IPs: a cluster does not know them before the pods are there.

A lab is made with its test pods in it; behind the API they come when a client has made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations.sync_peers import tell
from pytest_ciliumwg.providers.lab.wireguard import ON

_Peers = Mapping[str, Mapping[str, list[str]]]
"""Node → key of a peer of its device → allowed IPs, as `wg` writes them."""


class Newcomers:
    """What every node's device has for the test pods, kept until they come."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._known = _allowed_ips(lab)
        self._come: set[str] = set()
        everybody = [ip for node in lab.layout for ip in node.test_pod.pod.addresses]
        self._set(everybody, without=everybody)

    def come(self, addresses: Iterable[IPAddress]) -> None:
        """Let the nodes know one pod's addresses."""
        addresses = list(addresses)
        if not self._come & set(map(str, addresses)):
            self._come |= set(map(str, addresses))
            self._set(addresses, without=[])

    def _set(self, addresses: Iterable[IPAddress], *, without: Iterable[IPAddress]) -> None:
        """Give the peers that have one of these addresses what they had, without some of it."""
        concerned, left_out = _networks(addresses), _networks(without)
        scripts: dict[str, str] = {}
        for node, peers in self._known.items():
            lines = [
                f"wg set {self._lab.device} peer {key} allowed-ips '{','.join(ip for ip in ips if ip not in left_out)}'"
                for key, ips in peers.items()
                if concerned.intersection(ips)
            ]
            if lines:
                scripts[node] = "\n".join(lines)
        self._lab.run_on(scripts)


def heal(lab: Lab) -> None:
    """Bring every node up to date, as agents do when they next work on something, such as a pod that comes."""
    tell(lab, {node.name for node in lab.layout})


def _networks(addresses: Iterable[IPAddress]) -> set[str]:
    return {f"{ip}/{ip.max_prefixlen}" for ip in addresses}


def _allowed_ips(lab: Lab) -> _Peers:
    asked = [
        f"echo node {node.name}; sh {ON} {node.name} wg show {lab.device} allowed-ips 2>/dev/null || true"
        for node in lab.layout
    ]
    found: dict[str, dict[str, list[str]]] = {}
    for line in lab.sandbox.run("\n".join(asked)).splitlines():
        first, *rest = line.split()
        if first == "node":
            peers = found.setdefault(rest[0], {})
        else:
            peers[first] = [ip for ip in rest if ip != "(none)"]
    return found
