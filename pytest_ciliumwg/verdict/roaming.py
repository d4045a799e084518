"""Where WireGuard reaches peers that are not at their published addresses: behind NAT, or roaming.

WireGuard takes as a peer's endpoint the address from which the last packet came that only this peer can have made. So
an endpoint elsewhere is right where such packets keep coming from it, and wrong where none do. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_ciliumwg.model.cluster import IPAddress, Node
from pytest_ciliumwg.model.node_state import NodeState, Peer
from pytest_ciliumwg.model.timeline import Timeline

REJECT_AFTER = 180.0
"""Seconds after which WireGuard accepts nothing of a session any more (REJECT_AFTER_TIME)."""


def has_roamed(state: NodeState, peer: Peer, nodes: Iterable[Node], later: NodeState | None) -> bool:
    """Whether the peer's own packets come from its endpoint, which no node of the cluster publishes.

    Args:
        state: The node that has the peer.
        peer: The peer.
        nodes: All nodes.
        later: The same node after the flows; None where it was looked at once.
    """
    if peer.endpoint is None or peer.latest_handshake is None or not peer.rx_bytes:
        return False
    if any(peer.endpoint.address in (*node.tunnel_addresses, *node.cilium_addresses) for node in nodes):
        return False
    if state.observed_at - peer.latest_handshake > REJECT_AFTER:
        return False
    if later is None or later is state:
        return True
    return any(
        other.public_key == peer.public_key and other.endpoint == peer.endpoint and other.rx_bytes > peer.rx_bytes
        for other in later.peers
    )


def with_endpoints(
    timeline: Timeline, nodes: Sequence[Node], before: Mapping[str, NodeState], after: Mapping[str, NodeState]
) -> Timeline:
    """A timeline with the addresses at which WireGuard reached nodes while it was watched."""
    both = before.keys() & after.keys()
    there = followed(nodes, before, {name: after[name] for name in both})
    more = {node.name: frozenset(node.roamed_to) for node in there}
    ends = {name: known | more.get(name, frozenset()) for name, known in timeline.addresses.items()}
    return replace(timeline, addresses=ends)


def followed(nodes: Sequence[Node], before: Mapping[str, NodeState], after: Mapping[str, NodeState]) -> list[Node]:
    """The nodes with the addresses at which WireGuard reaches them besides, where only one of them is there."""
    names = {node.public_key: node.name for node in nodes if node.public_key}
    found: dict[IPAddress, set[str]] = {}
    published = {ip for node in nodes for ip in (*node.tunnel_addresses, *node.cilium_addresses)}
    for name, state in after.items():
        earlier = {peer.public_key: peer for peer in before[name].peers}
        for peer in state.peers:
            owner = names.get(peer.public_key)
            was = earlier.get(peer.public_key)
            came = was is not None and peer.rx_bytes > was.rx_bytes
            elsewhere = peer.endpoint is not None and peer.endpoint.address not in published
            if owner and came and peer.endpoint and elsewhere and has_roamed(state, peer, nodes, None):
                found.setdefault(peer.endpoint.address, set()).add(owner)
    more = {owner: [ip for ip, owners in found.items() if owners == {owner}] for owner in names.values()}
    return [replace(node, roamed_to=tuple(more.get(node.name, ()))) for node in nodes]
