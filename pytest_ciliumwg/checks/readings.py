"""The nodes from the inside before the flows and after them, and what changed in between."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from pytest_ciliumwg.changes.fingerprint import state_lines
from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState, Route
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
        lost_peers, new_peers = _PeerLines(names, lasting.__contains__), _PeerLines(names, lambda it: it not in passing)
        keys = [{node.name: node.public_key for node in reading.nodes} for reading in (self.first, self.last)]
        for name, state in self.last.states.items():
            first = self.first.states[name]
            was, now = (
                dict.fromkeys(_lines(one, other, key.get(name)), "")
                for one, other, key in zip((first, state), (state, first), keys, strict=True)
            )
            was |= lost_peers.of(first, state)
            now |= new_peers.of(state, first)
            lost, new = [line for line in was if line not in now], [line for line in now if line not in was]
            if lost or new:
                concerned = dict.fromkeys([*(was[line] for line in lost), *(now[line] for line in new)])
                yield NodeChange(name, tuple(sorted(lost)), tuple(sorted(new)), tuple(filter(None, concerned)))


def _owned(nodes: Iterable[Node], pods: Iterable[Pod]) -> set[tuple[str, IPAddress]]:
    """Nodes with the addresses that they and their pods have."""
    found = {(node.name, ip) for node in nodes for ip in (*node.addresses, *node.cilium_addresses)}
    return found | {(pod.node, ip) for pod in pods for ip in pod.addresses}


_Owned = tuple[str, IPAddress]
"""A node and an address that it or a pod on it has."""


class _PeerLines:
    """What peers have, in words; made once, for all nodes tell the same of a peer."""

    def __init__(self, names: Mapping[str, str], counts: Callable[[_Owned], bool]) -> None:
        """Nodes by their keys, and whether a single address of a node says anything."""
        self._names = names
        self._counts = counts
        self._made = cache(self._make)

    def of(self, state: NodeState, other: NodeState) -> Mapping[str, str]:
        """What is not the same of a node's peers in another state, in words → the node that is the peer."""
        there, found = {peer.public_key: peer.allowed_ips for peer in other.peers}, dict[str, str]()
        for peer in state.real_peers():
            if (known := there.get(peer.public_key)) is not peer.allowed_ips:
                found.update(self._made(peer.public_key, peer.allowed_ips, known))
        return found

    def _make(
        self, key: str, allowed_ips: frozenset[IPNetwork], other: frozenset[IPNetwork] | None
    ) -> Mapping[str, str]:
        name = self._names.get(key, "")
        found = {f"peer {name or 'of an unknown key'}": name, f"peer {name or key}": name}
        for net in allowed_ips - (other or frozenset()):
            if net.num_addresses > 1 or self._counts((name, net.network_address)):
                found[f"allowed IP {net} of peer {name or key}"] = name
        return found


def _lines(state: NodeState, other: NodeState, published: str | None) -> Iterator[str]:
    """What a node has beside its peers, in words, without most of the routes that another state of it has too."""
    known = frozenset(map(id, other.routes))  # told in the same words, they are the same objects
    routes = tuple(route for route in state.routes if id(route) not in known)
    single = (_route(route) for route in routes if route.destination.num_addresses == 1)
    passing = frozenset(single)  # they come and go with pods; the checks of steering judge them
    told = state_lines(replace(state, peers=(), routes=routes), {})
    yield from (line for line in told if line not in passing)
    yield f"published key {published or 'none'}"
    if state.wireguard:
        yield f"device key {state.wireguard.public_key}"
    native = {link.name for link in state.native_devices}
    yield from (_route(route) for route in routes if route.destination.num_addresses > 1 and route.device in native)


def _route(route: Route) -> str:
    return f"route {route.destination} dev {route.device} table {route.table}"


def _alike(one: NodeState, other: NodeState) -> bool:
    """Whether two states differ in what changes on its own alone, such as counters; the order of lists is nothing."""
    same_routes = _same(one.routes, other.routes)
    return same_routes and _same(_peers(one), _peers(other)) and _comparable(one) == _comparable(other)


def _same(these: Sequence[Hashable], those: Sequence[Hashable]) -> bool:
    """Whether there is the same in both. Mostly it comes in the same order, and what is told alike is one object."""
    return these == those or frozenset(these) == frozenset(those)


def _peers(state: NodeState) -> Sequence[Hashable]:
    return [(peer.public_key, peer.endpoint, peer.allowed_ips) for peer in state.peers]


def _comparable(state: NodeState) -> object:
    listed = tuple(map(frozenset, (state.rules, state.redirects, state.native_devices)))
    return state.link, state.wireguard, listed, state.rp_filter, frozenset(state.unread)
