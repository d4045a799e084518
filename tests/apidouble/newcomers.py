"""The addresses of test pods among the nodes' allowed IPs: a cluster knows them while the pods are there, no longer.

A lab is made with its test pods in it; behind the API they come when a client has made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations.sync_peers import tell
from pytest_ciliumwg.providers.lab.wireguard import ON

_Peer = tuple[str, str]
"""Node, and the key of a peer of its device."""
_AllowedIPs = Mapping[_Peer, list[str]]
"""As `wg` writes them."""


class Newcomers:
    """Which peers have the test pods' addresses, kept while the pods are not there."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._away: dict[str, list[_Peer]] = {}
        """Network → the peers that had it."""
        self.go(ip for node in lab.layout for ip in node.test_pod.pod.addresses)

    def go(self, addresses: Iterable[IPAddress]) -> None:
        """Let the nodes forget these addresses."""
        gone = {network for network in map(_network, addresses) if network not in self._away}
        now = _allowed_ips(self._lab) if gone else {}
        for network in gone:
            self._away[network] = [peer for peer, ips in now.items() if network in ips]
        self._take(gone, now)

    def stay_away(self) -> None:
        """Let the nodes forget again what is not there, after a change that told them of all that the lab has."""
        if self._away:
            self._take(set(self._away), _allowed_ips(self._lab))

    def _take(self, gone: set[str], now: _AllowedIPs) -> None:
        self._set({peer: [ip for ip in ips if ip not in gone] for peer, ips in now.items() if gone.intersection(ips)})

    def come(self, addresses: Iterable[IPAddress]) -> None:
        """Let the peers that had these addresses have them again, where they are still peers."""
        back = {network: self._away.pop(network) for network in map(_network, addresses) if network in self._away}
        now = _allowed_ips(self._lab) if back else {}
        wanted = {
            peer: [*ips, *(network for network, peers in back.items() if peer in peers and network not in ips)]
            for peer, ips in now.items()
        }
        self._set({peer: ips for peer, ips in wanted.items() if ips != now[peer]})

    def _set(self, wanted: _AllowedIPs) -> None:
        scripts: dict[str, str] = {}
        for (node, key), ips in wanted.items():
            line = f"wg set {self._lab.device} peer {key} allowed-ips '{','.join(ips)}'"
            scripts[node] = f"{scripts.get(node, '')}\n{line}"
        if scripts:
            self._lab.run_on(scripts)


def heal(lab: Lab) -> None:
    """Bring every node up to date, as agents do when they next work on something, such as a pod that comes."""
    tell(lab, {node.name for node in lab.layout})


def _network(address: IPAddress) -> str:
    return f"{address}/{address.max_prefixlen}"


def _allowed_ips(lab: Lab) -> _AllowedIPs:
    asked = [
        f"echo node {node.name}; sh {ON} {node.name} wg show {lab.device} allowed-ips 2>/dev/null || true"
        for node in lab.layout
    ]
    found: dict[_Peer, list[str]] = {}
    node = ""
    for line in lab.sandbox.run("\n".join(asked)).splitlines():
        first, *rest = line.split()
        if first == "node":
            node = rest[0]
        else:
            found[node, first] = [ip for ip in rest if ip != "(none)"]
    return found
