"""The nodes from the inside before the flows and after them, and what changed in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pytest_ciliumwg.changes.fingerprint import state_lines
from pytest_ciliumwg.model.cluster import IPAddress, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What one node had at the first look and lacks at the second, and the reverse, in words."""

    node: str
    lost: tuple[str, ...]
    new: tuple[str, ...]
    concerned: tuple[str, ...] = ()
    """Other nodes that it names."""


@dataclass(frozen=True)
class Readings:
    """Two readings; without the second one where no flows could be sent."""

    first: Reading
    last: Reading | None

    @property
    def pods(self) -> frozenset[Pod]:
        """The pods that were there all the time."""
        return self.first.pods & self.last.pods if self.last else self.first.pods

    @property
    def pods_ever(self) -> frozenset[Pod]:
        """The pods that were there at any time."""
        last = [self.last.pods_before, self.last.pods_after] if self.last else []
        return self.first.pods_before.union(self.first.pods_after, *last)

    @property
    def came_or_went(self) -> tuple[str, ...]:
        """The nodes that joined or left the cluster meanwhile, by name."""
        if self.last is None:
            return ()
        return tuple(sorted({node.name for node in self.first.nodes} ^ {node.name for node in self.last.nodes}))

    @cached_property
    def judged_again(self) -> tuple[NodeState, ...]:
        """The states after the flows that are not as before; none where the cluster got or lost a node meanwhile."""
        if self.last is None or self.came_or_went:
            return ()
        first = self.first.states
        return tuple(s for name, s in self.last.states.items() if not _alike(s, first[name]))

    def changes(self) -> Iterator[NodeChange]:
        """What changed on each node, apart from what comes and goes with pods."""
        if self.last is None:
            return
        names = {node.public_key: node.name for node in self.first.nodes if node.public_key}
        lasting = _owned(self.first.nodes, self.pods)
        passing = _owned(self.first.nodes, self.pods_ever) - lasting
        keys = [{node.name: node.public_key for node in reading.nodes} for reading in (self.first, self.last)]
        for name, state in self.last.states.items():
            was, now = (
                _lines(each, names, key.get(name))
                for each, key in zip(_differing(self.first.states[name], state), keys, strict=True)
            )
            lost = [line for line in was if line not in now and (not was[line][1] or was[line] in lasting)]
            new = [line for line in now if line not in was and (not now[line][1] or now[line] not in passing)]
            if lost or new:
                concerned = dict.fromkeys([*(was[line][0] for line in lost), *(now[line][0] for line in new)])
                yield NodeChange(name, tuple(sorted(lost)), tuple(sorted(new)), tuple(filter(None, concerned)))


def _owned(nodes: Iterable[Node], pods: Iterable[Pod]) -> set[tuple[str, IPAddress]]:
    """Nodes with the addresses that they and their pods have."""
    found = {(node.name, ip) for node in nodes for ip in (*node.addresses, *node.cilium_addresses)}
    return found | {(pod.node, ip) for pod in pods for ip in pod.addresses}


def _differing(first: NodeState, last: NodeState) -> tuple[NodeState, NodeState]:
    """Two states of a node without the routes, peers and allowed IPs that are in both: there are as many as nodes."""
    same = first.routes == last.routes  # told in the same words, they are the same objects
    routes = set() if same else {*first.routes}.intersection(last.routes)

    def others(state: NodeState, other: NodeState) -> NodeState:
        known = {peer.public_key: peer.allowed_ips for peer in other.peers}
        return replace(
            state,
            peers=tuple(
                replace(peer, allowed_ips=peer.allowed_ips - known.get(peer.public_key, frozenset()))
                for peer in state.peers
                if peer.allowed_ips != known.get(peer.public_key)
            ),
            routes=() if same else tuple(route for route in state.routes if route not in routes),
        )

    return others(first, last), others(last, first)


Lines = Mapping[str, tuple[str, IPAddress | None]]
"""What a node has, in words → the node and the single address that it is about; empty and None for others."""


def _lines(state: NodeState, names: Mapping[str, str], published: str | None) -> Lines:
    found: dict[str, tuple[str, IPAddress | None]] = dict.fromkeys(state_lines(state, names), ("", None))
    found[f"published key {published or 'none'}"] = "", None
    if state.wireguard:
        found[f"device key {state.wireguard.public_key}"] = "", None
    native = {link.name for link in state.native_devices}
    for route in state.routes:
        line = f"route {route.destination} dev {route.device} table {route.table}"
        if route.destination.num_addresses == 1:
            found.pop(line, None)  # it comes and goes with a pod; the checks of steering judge it
        elif route.device in native:
            found[line] = "", None
    for peer in state.real_peers():
        name = names.get(peer.public_key, "")
        told = name or peer.public_key
        found[f"peer {told}"] = name, None
        for network in peer.allowed_ips:
            address = network.network_address if network.num_addresses == 1 else None
            found[f"allowed IP {network} of peer {told}"] = name, address
    return found


def _alike(one: NodeState, other: NodeState) -> bool:
    """Whether two states differ in what changes on its own alone, such as counters; the order of lists is nothing."""
    same_routes = one.routes == other.routes or frozenset(one.routes) == frozenset(other.routes)
    return same_routes and _comparable(one) == _comparable(other)


def _comparable(state: NodeState) -> object:
    peers = {(peer.public_key, peer.endpoint, peer.allowed_ips) for peer in state.peers}
    listed = tuple(map(frozenset, (peers, state.rules, state.redirects, state.native_devices)))
    return state.link, state.wireguard, listed, state.rp_filter, frozenset(state.unread)
