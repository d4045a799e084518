"""Wait until a cluster has settled after a change: its state is right, every flow is answered, and both stay so."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import expectations_for, mesh_peers
from pytest_ciliumwg.model.cluster import Node
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.timeline import Snapshot
from pytest_ciliumwg.providers.base import Cluster, Progress, nodes_under_test, states_of
from pytest_ciliumwg.waiting import first_trouble, wait_for
from pytest_ciliumwg.watch.continuous import ContinuousWatch
from pytest_ciliumwg.watch.followers import PATIENCE

SETTLE_FACTOR = 3
"""A cluster has three times as long as usual to settle after a change: no limit is documented."""
RETRY_SECONDS = 5.4
"""Two initiations that cross fail; WireGuard repeats one after 5 s (REKEY_TIMEOUT) and up to a third of a second."""
_LONG_SECONDS = 5.0
"""What takes no longer is not worth a line."""
_PAUSE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """Whether a cluster settled after a change."""

    after: float | None
    """Seconds from the end of the change until the cluster was as it has to be; None: it never was."""
    limit: float
    """How many seconds it had."""
    wrong: tuple[str, ...]
    """What was still wrong when the time was over."""


def converge(cluster: Cluster, watch: ContinuousWatch, progress: Progress) -> Convergence:
    """Wait until the cluster has settled, or its time is over."""
    limit = SETTLE_FACTOR * cluster.settle_seconds + RETRY_SECONDS
    began = looked = time.monotonic()

    def wrong() -> str:
        nonlocal looked
        now = _wrong(cluster, watch)
        looked = time.monotonic()
        return now or _wrong_soon(cluster, watch)

    def told(why: str) -> None:
        if time.monotonic() - began >= _LONG_SECONDS:
            progress(why)

    doing = "waiting until all is as it has to be again: "
    left = wait_for(wrong, seconds=limit, poll=_PAUSE, progress=told, doing=doing)
    if not left:
        return Convergence(after=looked - began, limit=limit, wrong=())
    everything = dict.fromkeys((*_wrong_inside(cluster), *_wrong_outside(cluster, watch)))
    return Convergence(after=None, limit=limit, wrong=tuple(everything) or (left,))


def _wrong_soon(cluster: Cluster, watch: ContinuousWatch) -> str:
    """What goes wrong again in the time after which a lost message shows; empty for nothing."""
    seconds = PATIENCE + watch.poll_seconds + _PAUSE
    seen = first_trouble(lambda: next(_wrong_outside(cluster, watch), ""), seconds=seconds, poll=_PAUSE)
    return seen or _wrong(cluster, watch)


def _wrong(cluster: Cluster, watch: ContinuousWatch) -> str:
    """One thing that is not as it has to be; empty for nothing."""
    return next(_wrong_outside(cluster, watch), "") or next(_wrong_inside(cluster), "")


def _wrong_outside(cluster: Cluster, watch: ContinuousWatch) -> Iterator[str]:
    """What is wrong as the watch sees it; this runs no command on a node."""
    try:
        yield from watch.troubles(nodes_under_test(cluster))
    except ProviderError as error:
        yield str(error)


def _wrong_inside(cluster: Cluster) -> Iterator[str]:
    """What is wrong as the API and the nodes show it; asking the nodes runs commands on each of them."""
    try:
        nodes = nodes_under_test(cluster)
        yield from _not_ready(cluster.snapshot(), nodes)
        published, states = cluster.nodes(), states_of(cluster, nodes)
        mesh = mesh_peers(states.values(), published, (), expectations_for(cluster.declared))
        yield from _stale_peers(published, states, mesh.keys())
    except ProviderError as error:
        yield str(error)


def _not_ready(snapshot: Snapshot, nodes: Iterable[str]) -> Iterator[str]:
    """Which nodes and agents a healthy cluster would have ready, a sentence each."""
    for node in nodes:
        agent = snapshot.agents.get(node)
        if agent is None or not agent.ready:
            yield f"the Cilium agent on {node} is not ready"
        if not snapshot.nodes.get(node, False):
            yield f"node {node} is not Ready"


def _stale_peers(nodes: Iterable[Node], states: Mapping[str, NodeState], mesh: Collection[str]) -> Iterator[str]:
    """Where a node's peers or own key are not those that the nodes publish, or of a mesh, a sentence each."""
    published = {node.name: node.public_key for node in nodes if node.public_key}
    for name, state in states.items():
        yield from _peers(state, {node: key for node, key in published.items() if node != name}, mesh)
        own = state.wireguard.public_key if state.wireguard else None
        if "wireguard" not in state.unread and own != published.get(name):
            yield f"{name} publishes another key than that of its device"


def _peers(state: NodeState, published: Mapping[str, str], mesh: Collection[str]) -> Iterator[str]:
    if "peers" in state.unread:
        yield f"the peers of {state.node} cannot be read: {state.unread['peers']}"
        return
    keys = {peer.public_key for peer in state.real_peers()}
    for node, key in published.items():
        if key not in keys:
            yield f"{state.node} has no peer with the key of {node}"
    stale = len(keys - {*published.values(), *mesh})
    if stale:
        yield f"{state.node} has {stale} peers whose key no node publishes"
