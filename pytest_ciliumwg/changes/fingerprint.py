"""What a cluster is like, in lines that must be the same again after a change that undoes itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_ciliumwg.model.node_state import Link, NodeState
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import Snapshot
from pytest_ciliumwg.providers.base import Cluster

Fingerprint = Mapping[str, frozenset[str]]
"""Node (or `cluster`) → a line for each thing there is."""
_CLUSTER = "cluster"


def fingerprint(cluster: Cluster, snapshot: Snapshot, states: Mapping[str, NodeState]) -> Fingerprint:
    """The cluster as it is: nodes, agents, our pods, and what the nodes have for encryption.

    Keys are not in it, nor what changes on its own: other people's pods, and with them routes and allowed IPs.
    """
    names = {key: node for node, key in snapshot.keys.items()}
    lines = {node: frozenset(state_lines(state, names)) for node, state in states.items()}
    return {_CLUSTER: frozenset(_cluster_lines(cluster, snapshot)), **lines}


def differences(before: Fingerprint, after: Fingerprint) -> Iterator[tuple[str, str, str]]:
    """(Where, what was there before, what is there now) for each place that is not as it was."""
    for where in sorted({*before, *after}):
        was, now = before.get(where, frozenset()), after.get(where, frozenset())
        if was != now:
            yield where, _listed(was - now), _listed(now - was)


def place_of(where: str) -> Place:
    """The place that a fingerprint knows by this name."""
    return Place.everywhere(where) if where == _CLUSTER else Place.of_node(where)


def _listed(lines: frozenset[str]) -> str:
    return "; ".join(sorted(lines)) or "nothing"


def _cluster_lines(cluster: Cluster, snapshot: Snapshot) -> Iterator[str]:
    for node, ready in snapshot.nodes.items():
        yield f"node {node} {'Ready' if ready else 'NotReady'}"
    for node, agent in snapshot.agents.items():
        yield f"agent of {node} {agent.image} {'ready' if agent.ready else 'not ready'}"
    ours = {pod.namespace for pod in cluster.test_pods()}
    counted = [node for pod, node in snapshot.pods.items() if pod.partition("/")[0] in ours]
    for node in sorted(set(counted)):
        yield f"{counted.count(node)} test pods on {node}"


def state_lines(state: NodeState, names: Mapping[str, str]) -> Iterator[str]:
    """What a node has for encryption and stays as it is on its own, a line each; `names` are nodes by their keys."""
    yield from (f"{field} cannot be read" for field in state.unread)
    device = state.link.name if state.link else ""
    for link in (*([state.link] if state.link else []), *state.native_devices):
        yield _link(link)
    for peer in state.real_peers():
        yield f"peer {names.get(peer.public_key, 'of an unknown key')}"
    for rule in state.rules:
        mark = "" if rule.fwmark is None else f" fwmark {rule.fwmark:#x}/{rule.fwmask or 0:#x}"
        yield f"rule {rule.priority}{mark} from {rule.source} lookup {rule.table} ({rule.family.value})"
    for route in state.routes:
        if route.table != "main" or route.device == device:
            yield f"route {route.destination} dev {route.device} table {route.table}"
    for redirect in state.redirects:
        yield f"redirect {redirect.direction} of {redirect.device} by {redirect.program}"


def _link(link: Link) -> str:
    up = "up" if "UP" in link.flags else "down"
    return f"device {link.name} {up} mtu {link.mtu}"
