"""Peers that no node of this cluster publishes, and that are right all the same: nodes of other clusters of a mesh."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pytest_ciliumwg.expect.expectations import Expectations
from pytest_ciliumwg.model.cluster import IPAddress, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState, Peer

_OF_ANOTHER_CLUSTER = "a node of another cluster"


def mesh_peers(
    states: Iterable[NodeState], nodes: Collection[Node], pods: Iterable[Pod], expected: Expectations
) -> Mapping[str, str]:
    """Public key → what the peer is called, of all peers that are nodes of other clusters.

    Such a peer may be there only where Cilium was told that its cluster is part of a mesh, and then every node has it.
    Nothing of its endpoint and its allowed IPs belongs to this cluster. Where the agents tell which nodes they know, it
    is one of them; else it has to listen as Cilium does, at an address of its own. Whatever is not so is a stranger.
    """
    if not expected.config.cluster_id:
        return {}
    read = [state for state in states if "peers" not in state.unread and state.wireguard is not None]
    published = {node.public_key for node in nodes}
    by_key: dict[str, list[tuple[NodeState, Peer]]] = {}
    for state in read:
        for peer in state.real_peers():
            if peer.public_key not in published:
                by_key.setdefault(peer.public_key, []).append((state, peer))
    here = _Here(nodes, pods)
    return {
        key: _name(found)
        for key, found in by_key.items()
        if len(found) == len(read) and all(_is_elsewhere(state, peer, here, expected) for state, peer in found)
    }


class _Here:
    """What belongs to this cluster."""

    def __init__(self, nodes: Iterable[Node], pods: Iterable[Pod]) -> None:
        self.nodes: set[IPAddress] = {ip for node in nodes for ip in node.tunnel_addresses}
        self._cidrs = [cidr for node in nodes for cidr in node.pod_cidrs]
        cilium = [ip for node in nodes for ip in node.cilium_addresses]
        self._addresses = [*self.nodes, *cilium, *(ip for pod in pods for ip in pod.addresses)]

    def has_any_of(self, peer: Peer) -> bool:
        """Whether one of the peer's allowed IPs is an address of this cluster, or covers one."""
        return any(
            any(net.version == cidr.version and net.overlaps(cidr) for cidr in self._cidrs)
            or any(ip in net for ip in self._addresses if ip.version == net.version)
            for net in peer.allowed_ips
        )


def _is_elsewhere(state: NodeState, peer: Peer, here: _Here, expected: Expectations) -> bool:
    end = peer.endpoint
    if end is None or end.address in here.nodes or not peer.allowed_ips or here.has_any_of(peer):
        return False
    if state.known_nodes is not None:
        return _known(state.known_nodes, peer) is not None
    holds_node = any(end.address in net for net in peer.allowed_ips if net.version == end.address.version)
    return end.port == expected.listen_port and (holds_node or expected.node_addresses() != "required")


def _name(found: Iterable[tuple[NodeState, Peer]]) -> str:
    names = (_known(state.known_nodes or {}, peer) for state, peer in found)
    return next((name for name in names if name), _OF_ANOTHER_CLUSTER)


def _known(nodes: Mapping[IPAddress, str], peer: Peer) -> str | None:
    """What Cilium calls the node that is the peer: by its endpoint, or by its own addresses among the allowed IPs."""
    ends = [peer.endpoint.address] if peer.endpoint else []
    single = [net.network_address for net in peer.allowed_ips if net.num_addresses == 1]
    return next((nodes[ip] for ip in (*ends, *single) if ip in nodes), None)
