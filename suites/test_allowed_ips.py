"""The allowed IPs of every peer: what may be sent to it, and what it may send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TypeVar

import pytest

from pytest_ciliumwg.checks.covered import Covered, overlaps
from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, Requirement, source
from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork, Node, Pod, known_addresses, pool_addresses
from pytest_ciliumwg.model.node_state import NodeState, Peer
from pytest_ciliumwg.model.place import Place

PODS = source("pods_in_allowed_ips")
CIDRS = source("pod_cidrs_in_allowed_ips")
NODES = source("node_addresses")
T = TypeVar("T")
AllowedIPs = frozenset[IPNetwork]
Judged = tuple[int, Sequence[T]]
"""At how many places a requirement holds of a peer, and what is wrong with it."""


@pytest.mark.ciliumwg_check("allowed-ips.pods", source=PODS)
def test_every_pod_is_contained(
    observed: Observed, nodes: Sequence[Node], pods: Sequence[Pod], verify: Verify, expected: Expectations
) -> None:
    """Every pod of a peer's node is among the peer's allowed IPs."""
    if not expected.pods_in_allowed_ips:
        pytest.skip(f"Cilium {expected.config.version} in tunnel mode sends pods' packets as the nodes' own")
    by_node, covered = _by_node(pods), Covered(ip for pod in pods for ip in pod.addresses)
    wanted = {name: frozenset(ip for pod in running for ip in pod.addresses) for name, running in by_node.items()}

    def lost(node: Node, allowed_ips: AllowedIPs) -> Judged[tuple[Pod, IPAddress]]:
        addresses = wanted.get(node.name, frozenset())
        missing = addresses - covered.by(allowed_ips)
        of_pods = ((pod, ip) for pod in by_node.get(node.name, ()) for ip in pod.addresses)
        return len(addresses) - len(missing), [(pod, ip) for pod, ip in of_pods if ip in missing]

    for state, node, found in _wrong(observed, nodes, verify, lost):
        for pod, address in found:
            verify(
                False,
                where=Place.of_peer(state.node, node.name).concerning(addresses=[address]),
                expected=f"{address} of pod {pod.key} among the allowed IPs",
                seen="not there",
                meaning="WireGuard drops this pod's packets in both directions.",
            )


@pytest.mark.ciliumwg_check("allowed-ips.disjoint", source="wg(8): an allowed IP belongs to one peer")
def test_no_address_belongs_to_two_peers(observed: Observed, nodes: Sequence[Node], verify: Verify) -> None:
    """No allowed IPs of two peers overlap."""
    names = {node.public_key: node.name for node in nodes}
    states = [state for state, _ in observed.devices()]
    told = {(names.get(p.public_key, p.public_key), p.allowed_ips) for state in states for p in state.real_peers()}
    if not any(overlaps((net, owner) for owner, allowed in told for net in allowed)):
        verify.held(len(states))  # what overlaps nowhere among all that they tell overlaps on none of them
        return
    for state in states:
        rows = [(net, names.get(p.public_key, p.public_key)) for p in state.real_peers() for net in p.allowed_ips]
        found = list(overlaps(rows))
        clashes = [f"{wide} of {owner} and {narrow} of {overlapped}" for (wide, owner), (narrow, overlapped) in found]
        clashing = [row for pair in found for row in pair]
        verify(
            not clashes,
            where=Place.of_node(state.node).concerning(
                (owner for _, owner in clashing if owner in names.values()),
                (network.network_address for network, _ in clashing),
            ),
            expected="every allowed IP with one peer",
            seen="; ".join(clashes),
            meaning="Packets for the address reach only one of the peers, maybe the wrong one.",
        )


@pytest.mark.ciliumwg_check("allowed-ips.not-own", source="pkg/wireguard/agent/agent.go: only remote ipcache entries")
def test_no_address_of_the_own_node(
    observed: Observed, nodes: Sequence[Node], pods: Sequence[Pod], verify: Verify
) -> None:
    """No peer may send with, or is sent, the addresses of the own node and its pods."""
    owners = _Owners(nodes, pods)
    owned = cache(owners.owned)  # all nodes tell the same of a peer
    for state, peer, node in _peers(observed, nodes):
        taken = owned(peer.allowed_ips).get(state.node)
        if not taken:
            verify.held()
            continue
        verify(
            False,
            where=Place.of_peer(state.node, node.name).concerning(addresses=taken),
            expected=f"no address of {state.node}",
            seen=", ".join(map(str, taken)),
            meaning="The peer could send in the name of this node's own pods.",
        )


@pytest.mark.ciliumwg_check("allowed-ips.nodes", source=NODES)
def test_node_addresses(observed: Observed, nodes: Sequence[Node], verify: Verify, expected: Expectations) -> None:
    """A peer's allowed IPs hold its node's address of each family where this version needs it, or no such address."""
    asked = {node.name: _asked(node, expected) for node in nodes}
    covered = Covered(ip for _, addresses in asked.values() for ip in addresses)

    def wrong(node: Node, allowed_ips: AllowedIPs) -> Judged[IPAddress]:
        policy, addresses = asked[node.name]
        if policy == "optional":
            return 1, ()
        there = addresses & covered.by(allowed_ips)
        found = addresses - there if policy == "required" else there
        return len(addresses) - len(found), sorted(found, key=int)

    for state, node, found in _wrong(observed, nodes, verify, wrong):
        for address in found:
            where = Place.of_peer(state.node, node.name).concerning(addresses=[address])
            if asked[node.name][0] == "required":
                needed = f"the node address {address} among the allowed IPs"
                verify(
                    False,
                    where=where,
                    expected=needed,
                    seen="not there",
                    meaning="Node traffic is dropped by WireGuard.",
                )
            else:
                verify(False, where=where, expected=f"no node address {address} among the allowed IPs", seen="there")


def _asked(node: Node, expected: Expectations) -> tuple[Requirement, frozenset[IPAddress]]:
    """Whether a node's addresses have to be, may be, or must not be among the allowed IPs, and which."""
    policy = expected.node_addresses(opted_out=expected.config.node_encryption and not node.encryption_key)
    needed = node.taken_addresses(expected.config.families) if policy == "required" else node.addresses
    return policy, frozenset(needed)


@pytest.mark.ciliumwg_check("allowed-ips.foreign", source=CIDRS)
def test_nothing_of_another_node(
    observed: Observed, nodes: Sequence[Node], pods: Sequence[Pod], verify: Verify, expected: Expectations
) -> None:
    """A peer's allowed IPs hold no address of a third node or its pods, and no network but its own node's pod CIDRs."""
    owners = _Owners(nodes, pods)
    rights = {node.name: node.pod_cidrs if expected.pod_cidrs_in_allowed_ips else () for node in nodes}

    def foreign(node: Node, allowed_ips: AllowedIPs) -> Judged[tuple[_Owned, Sequence[IPNetwork]]]:
        wide = [net for net in allowed_ips if net.num_addresses > 1 and not _within(net, rights[node.name])]
        others = owners.others(allowed_ips, node.name)
        return (0, [(others, wide)]) if others or wide else (1, ())

    for state, node, [(wrong, wide)] in _wrong(observed, nodes, verify, foreign):
        right = rights[node.name]
        meant = [(net, third) for net in wide for third in nodes]
        thirds = [third.name for net, third in meant if any(map(net.overlaps, third.pod_cidrs))]
        verify(
            False,
            where=Place.of_peer(state.node, node.name).concerning(
                (*(owner for owner, _ in wrong.values()), *thirds), (*wrong, *(net.network_address for net in wide))
            ),
            expected=f"addresses of {node.name} and its pods{f', and {_list(right)}' if right else ' alone'}",
            seen=", ".join([*(f"{ip} of {told}" for ip, (_, told) in wrong.items()), *map(str, wide)]),
            meaning="Packets for somebody else are encrypted to this peer, who can read them.",
        )


@pytest.mark.ciliumwg_check("allowed-ips.known", source="issues 25492 and 33159: addresses of pods that are gone")
def test_nothing_unknown(
    observed: Observed, nodes: Sequence[Node], pods_ever: Sequence[Pod], verify: Verify, expected: Expectations
) -> None:
    """Every allowed IP is the address of a pod, a node or an endpoint of Cilium's that the cluster knows."""
    known = known_addresses(nodes, pods_ever)
    if expected.pod_cidrs_in_allowed_ips:
        known |= pool_addresses(nodes)

    def unknown(_: Node, allowed_ips: AllowedIPs) -> Judged[IPNetwork]:
        stale = [net for net in allowed_ips if net.num_addresses == 1 and net.network_address not in known]
        return (0, stale) if stale else (1, ())

    for state, node, stale in _wrong(observed, nodes, verify, unknown):
        verify(
            False,
            where=Place.of_peer(state.node, node.name).concerning(addresses=(net.network_address for net in stale)),
            expected="addresses that the cluster knows",
            seen=", ".join(sorted(map(str, stale))),
            meaning="An address of a pod that is gone is still bound to this peer; its next owner will not be reached.",
        )


def _wrong(
    observed: Observed, nodes: Sequence[Node], verify: Verify, judge: Callable[[Node, AllowedIPs], Judged[T]]
) -> Iterator[tuple[NodeState, Node, Sequence[T]]]:
    """Each node's peers with which something is wrong, by the nodes they are; what holds of all others is counted.

    All nodes tell the same of a peer, so that it is judged once.
    """
    by_key = {node.public_key: node for node in nodes if node.public_key}

    @cache
    def judged(key: str, allowed_ips: AllowedIPs) -> Judged[T]:
        return judge(by_key[key], allowed_ips) if key in by_key else (0, ())  # nobody's key is peers.keys' finding

    for state, _ in observed.devices():
        held = 0
        for peer in state.real_peers():
            places, wrong = judged(peer.public_key, peer.allowed_ips)
            held += places
            if wrong:
                yield state, by_key[peer.public_key], wrong
        verify.held(held)


def _peers(observed: Observed, nodes: Sequence[Node]) -> Iterator[tuple[NodeState, Peer, Node]]:
    """Each node's peers with the nodes they are; a peer that nobody publishes is peers.keys' finding."""
    by_key: Mapping[str, Node] = {node.public_key: node for node in nodes if node.public_key}
    for state, _ in observed.devices():
        for peer in state.real_peers():
            if peer.public_key in by_key:
                yield state, peer, by_key[peer.public_key]


def _by_node(pods: Sequence[Pod]) -> Mapping[str, Sequence[Pod]]:
    found: dict[str, list[Pod]] = {}
    for pod in pods:
        found.setdefault(pod.node, []).append(pod)
    return found


def _within(network: IPNetwork, cidrs: Sequence[IPNetwork]) -> bool:
    return any(
        network.version == cidr.version and network.network_address in cidr and network.broadcast_address in cidr
        for cidr in cidrs
    )


def _list(networks: Sequence[IPNetwork]) -> str:
    return ", ".join(map(str, networks))


_Owned = Mapping[IPAddress, tuple[str, str]]
"""Address → the node that it belongs to, and whose it is in words."""


class _Owners:
    """Whose the addresses of pods and nodes are."""

    def __init__(self, nodes: Sequence[Node], pods: Sequence[Pod]) -> None:
        self._by_address: dict[IPAddress, dict[str, str]] = {}
        for pod in pods:
            for ip in pod.addresses:
                self._by_address.setdefault(ip, {})[pod.node] = f"pod {pod.key} on {pod.node}"
        for node in nodes:
            for ip in (*node.addresses, *node.cilium_addresses):
                self._by_address.setdefault(ip, {})[node.name] = f"node {node.name}"
        self._covered = Covered(self._by_address)

    def owned(self, allowed_ips: AllowedIPs) -> Mapping[str, Sequence[IPAddress]]:
        """Node → its addresses among a peer's allowed IPs, of all nodes that have some there."""
        found: dict[str, list[IPAddress]] = {}
        for ip in sorted(self._covered.by(allowed_ips), key=str):
            for owner in self._by_address[ip]:
                found.setdefault(owner, []).append(ip)
        return found

    def others(self, allowed_ips: AllowedIPs, name: str) -> _Owned:
        """The addresses among a peer's allowed IPs that are those of other nodes than its own."""
        found = {
            ip: (owner, told)
            for ip in self._covered.by(allowed_ips)
            for owner, told in self._by_address[ip].items()
            if owner != name
        }
        return dict(sorted(found.items(), key=lambda item: str(item[0])))
