"""Look at nodes when they have learnt what the API shows, which takes them a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pytest_ciliumwg.model.cluster import IPAddress, Node, Pod, known_addresses, pool_addresses
from pytest_ciliumwg.model.node_state import NodeState, Peer
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.providers.base import Cluster, Progress, read
from pytest_ciliumwg.waiting import wait_for

_POLL_SECONDS = 0.25


def read_settled(
    cluster: Cluster,
    nodes: Iterable[str],
    progress: Progress,
    seconds: float | None = None,
    newcomers: Collection[Pod] = (),
) -> Reading:
    """What `read` tells once every node has learnt what the API shows, or the time to settle is up.

    It has the peers that others publish, and no others (in a mesh of clusters it may have those of other clusters), and
    among their allowed IPs no address of a pod that is gone.

    Args:
        cluster: The cluster.
        nodes: Which of its nodes.
        progress: Told what is waited for.
        seconds: The time to settle; None: that of the cluster.
        newcomers: Pods that were made just now, whose addresses the other nodes' peers have to have as well.

    Raises:
        ProviderError: one of them cannot be observed at all.
    """
    names, found = list(nodes), list[Reading]()
    meshed = bool(cluster.declared.cluster_id)

    def underway() -> str:
        found[:] = [reading := read(cluster, names)]
        pods = reading.pods_before | reading.pods_after
        known = known_addresses(reading.nodes, pods) | pool_addresses(reading.nodes)
        return ", ".join(
            name
            for name, state in reading.states.items()
            if not _has_its_peers(state, reading.nodes, meshed)
            or not _knows(state, reading.nodes, newcomers)
            or _has_leftovers(state, reading.nodes, known)
        )

    limit = cluster.settle_seconds if seconds is None else seconds
    doing = "waiting until these nodes have learnt of all peers and pods: "
    wait_for(underway, seconds=limit, poll=_POLL_SECONDS, progress=progress, doing=doing)
    return found[0]


def _has_its_peers(state: NodeState, nodes: Iterable[Node], meshed: bool) -> bool:
    """Whether a node has the peers that the others publish, and, out of a mesh of clusters, no more.

    A node whose peers cannot be read is not waited for: it is as slow to say so each time.
    """
    if "peers" in state.unread:
        return True
    published = {node.public_key for node in nodes if node.public_key and node.name != state.node}
    peers = {peer.public_key for peer in state.real_peers()}
    return peers >= published if meshed else peers == published


def _knows(state: NodeState, nodes: Iterable[Node], pods: Iterable[Pod]) -> bool:
    """Whether a node's peers have the addresses of these pods, as far as the pods' nodes are its peers."""
    keys = {node.name: node.public_key for node in nodes}
    peers = {peer.public_key: peer for peer in state.real_peers()}
    theirs = ((peers.get(keys.get(pod.node) or ""), pod) for pod in pods if pod.node != state.node)
    return all(_has_all(peer, pod) for peer, pod in theirs if peer is not None)


def _has_leftovers(state: NodeState, nodes: Iterable[Node], known: Collection[IPAddress]) -> bool:
    """Whether peers have addresses that nobody has: those of pods that were there a moment ago, most likely."""
    published = {node.public_key for node in nodes if node.public_key}
    return any(
        net.prefixlen == net.max_prefixlen and net.network_address not in known
        for peer in state.real_peers()
        if peer.public_key in published
        for net in peer.allowed_ips
    )


def _has_all(peer: Peer, pod: Pod) -> bool:
    return all(any(ip in net for net in peer.allowed_ips if net.version == ip.version) for ip in pod.addresses)
