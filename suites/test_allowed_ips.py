"""The allowed IPs of every peer: what may be sent to it, and what it may send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, source
from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState, Peer
from pytest_ciliumwg.model.place import Place

PODS = source("pods_in_allowed_ips")
CIDRS = source("pod_cidrs_in_allowed_ips")
NODES = source("node_addresses")


@pytest.mark.ciliumwg_check("allowed-ips.pods", source=PODS)
def test_every_pod_is_contained(
    observed: Observed, nodes: Sequence[Node], pods: Sequence[Pod], verify: Verify, expected: Expectations
) -> None:
    """Every pod of a peer's node is among the peer's allowed IPs."""
    if not expected.pods_in_allowed_ips:
        pytest.skip(f"Cilium {expected.config.version} in tunnel mode sends pods' packets as the nodes' own")
    by_node = _by_node(pods)
    for state, peer, node in _peers(observed, nodes):
        for pod in by_node.get(node.name, ()):
            for address in pod.addresses:
                verify(
                    _covers(peer, address),
                    where=Place.of_peer(state.node, node.name).concerning(addresses=[address]),
                    expected=f"{address} of pod {pod.key} among the allowed IPs",
                    seen="not there",
                    meaning="WireGuard drops this pod's packets in both directions.",
                )


@pytest.mark.ciliumwg_check("allowed-ips.disjoint", source="wg(8): an allowed IP belongs to one peer")
def test_no_address_belongs_to_two_peers(observed: Observed, nodes: Sequence[Node], verify: Verify) -> None:
    """No allowed IPs of two peers overlap."""
    names = {node.public_key: node.name for node in nodes}
    for state, _ in observed.devices():
        rows = [(net, names.get(p.public_key, p.public_key)) for p in state.real_peers() for net in p.allowed_ips]
        rows.sort(key=lambda row: (row[0].version, row[0].network_address, row[0].prefixlen))
        overlaps = list(_overlaps(rows))
        clashes = [
            f"{wide} of {owner} and {narrow} of {overlapped}" for (wide, owner), (narrow, overlapped) in overlaps
        ]
        clashing = [row for pair in overlaps for row in pair]
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
    own: dict[str, list[IPAddress]] = {node.name: [*node.addresses, *node.cilium_addresses] for node in nodes}
    for name, running in _by_node(pods).items():
        own.setdefault(name, []).extend(ip for pod in running for ip in pod.addresses)
    for state, peer, node in _peers(observed, nodes):
        taken = [ip for ip in own.get(state.node, ()) if _covers(peer, ip)]
        verify(
            not taken,
            where=Place.of_peer(state.node, node.name).concerning(addresses=taken),
            expected=f"no address of {state.node}",
            seen=", ".join(map(str, taken)),
            meaning="The peer could send in the name of this node's own pods.",
        )


@pytest.mark.ciliumwg_check("allowed-ips.nodes", source=NODES)
def test_node_addresses(observed: Observed, nodes: Sequence[Node], verify: Verify, expected: Expectations) -> None:
    """A peer's allowed IPs hold its node's address of each family where this version needs it, or no such address."""
    families = expected.config.families
    for state, peer, node in _peers(observed, nodes):
        opted_out = expected.config.node_encryption and not node.encryption_key
        policy = expected.node_addresses(opted_out=opted_out)
        if policy == "required":
            for address in node.taken_addresses(families):
                verify(
                    _covers(peer, address),
                    where=Place.of_peer(state.node, node.name).concerning(addresses=[address]),
                    expected=f"the node address {address} among the allowed IPs",
                    seen="not there",
                    meaning="Node traffic is dropped by WireGuard.",
                )
        elif policy == "forbidden":
            for address in node.addresses:
                verify(
                    not _covers(peer, address),
                    where=Place.of_peer(state.node, node.name).concerning(addresses=[address]),
                    expected=f"no node address {address} among the allowed IPs",
                    seen="there",
                )
        else:
            verify(True, where=Place.of_node(state.node), expected="node addresses optional", seen="anything")


@pytest.mark.ciliumwg_check("allowed-ips.foreign", source=CIDRS)
def test_nothing_of_another_node(
    observed: Observed, nodes: Sequence[Node], pods: Sequence[Pod], verify: Verify, expected: Expectations
) -> None:
    """A peer's allowed IPs hold no address of a third node or its pods, and no network but its own node's pod CIDRs."""
    owners_of = _Owners(nodes, pods)
    for state, peer, node in _peers(observed, nodes):
        wrong = owners_of.others(peer, node)
        right = node.pod_cidrs if expected.pod_cidrs_in_allowed_ips else ()
        wide = [net for net in peer.allowed_ips if net.num_addresses > 1 and not _within(net, right)]
        meant = [(net, third) for net in wide for third in nodes]
        owners = [third.name for net, third in meant if any(map(net.overlaps, third.pod_cidrs))]
        verify(
            not wrong and not wide,
            where=Place.of_peer(state.node, node.name).concerning(
                (*(owner for owner, _ in wrong.values()), *owners), (*wrong, *(net.network_address for net in wide))
            ),
            expected=f"addresses of {node.name} and its pods{f', and {_list(right)}' if right else ' alone'}",
            seen=", ".join([*(f"{ip} of {told}" for ip, (_, told) in wrong.items()), *map(str, wide)]),
            meaning="Packets for somebody else are encrypted to this peer, who can read them.",
        )


@pytest.mark.ciliumwg_check("allowed-ips.known", source="issues 25492 and 33159: addresses of pods that are gone")
def test_nothing_unknown(observed: Observed, nodes: Sequence[Node], pods_ever: Sequence[Pod], verify: Verify) -> None:
    """Every allowed IP is the address of a pod, a node or an endpoint of Cilium's that the cluster knows."""
    known = {ip for pod in pods_ever for ip in pod.addresses}
    known |= {ip for n in nodes for ip in (*n.addresses, *n.cilium_addresses, *n.external_addresses)}
    for state, peer, node in _peers(observed, nodes):
        stale = [net for net in peer.allowed_ips if net.num_addresses == 1 and net.network_address not in known]
        verify(
            not stale,
            where=Place.of_peer(state.node, node.name).concerning(addresses=(net.network_address for net in stale)),
            expected="addresses that the cluster knows",
            seen=", ".join(sorted(map(str, stale))),
            meaning="An address of a pod that is gone is still bound to this peer; its next owner will not be reached.",
        )


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


def _covers(peer: Peer, address: IPAddress) -> bool:
    return any(address in network for network in peer.allowed_ips if network.version == address.version)


class _Owners:
    """Whose the addresses of pods and nodes are."""

    def __init__(self, nodes: Sequence[Node], pods: Sequence[Pod]) -> None:
        self._by_address: dict[IPAddress, dict[str, str]] = {}
        self._within: dict[IPNetwork, tuple[IPAddress, ...]] = {}
        for pod in pods:
            for ip in pod.addresses:
                self._by_address.setdefault(ip, {})[pod.node] = f"pod {pod.key} on {pod.node}"
        for node in nodes:
            for ip in (*node.addresses, *node.cilium_addresses):
                self._by_address.setdefault(ip, {})[node.name] = f"node {node.name}"

    def others(self, peer: Peer, node: Node) -> dict[IPAddress, tuple[str, str]]:
        """The addresses among a peer's allowed IPs that are another node's: each with that node, and whose in words."""
        covered = {ip for network in peer.allowed_ips for ip in self._covered(network)}
        found = {
            ip: (owner, told) for ip in covered for owner, told in self._by_address[ip].items() if owner != node.name
        }
        return dict(sorted(found.items(), key=lambda item: str(item[0])))

    def _covered(self, network: IPNetwork) -> tuple[IPAddress, ...]:
        if network.num_addresses == 1:
            return (network.network_address,) if network.network_address in self._by_address else ()
        if network not in self._within:
            alike = (ip for ip in self._by_address if ip.version == network.version)
            self._within[network] = tuple(ip for ip in alike if ip in network)
        return self._within[network]


Row = tuple[IPNetwork, str]


def _overlaps(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Pairs of sorted networks of different owners where the one contains the other."""
    widest: Row | None = None
    for row in rows:
        if widest is not None and row[0].version == widest[0].version and row[0].network_address in widest[0]:
            if row[1] != widest[1]:
                yield widest, row
            continue
        widest = row
