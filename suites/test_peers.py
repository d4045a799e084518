"""The peers of every node: all other nodes, and nobody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from pytest_ciliumwg.checks.helpers import Observed, peer_names
from pytest_ciliumwg.checks.readings import Readings
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, source
from pytest_ciliumwg.model.cluster import Node
from pytest_ciliumwg.model.node_state import DUMMY_KEY, NodeState
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.weak_keys import KNOWN_PRIVATE_KEYS
from pytest_ciliumwg.verdict.judge import Judge
from pytest_ciliumwg.verdict.roaming import has_roamed

KEYS = source("key_annotations")
AGENT = "pkg/wireguard/agent/agent.go: UpdatePeer"


@pytest.mark.ciliumwg_check("peers.published", source=KEYS)
def test_every_node_publishes_a_key(nodes: Sequence[Node], verify: Verify) -> None:
    """Every node publishes a WireGuard public key."""
    for node in nodes:
        verify(
            node.public_key is not None,
            where=Place.of_node(node.name),
            expected="a public key on its CiliumNode",
            seen="none",
            meaning="No other node can encrypt to this one; their traffic to it is sent in cleartext.",
        )


@pytest.mark.ciliumwg_check("peers.own-key", source=KEYS)
def test_published_key_is_the_devices_key(observed: Observed, nodes: Sequence[Node], verify: Verify) -> None:
    """The key that a node publishes is the key that its device has."""
    published = {node.name: node.public_key for node in nodes}
    for state, device in observed.devices():
        verify(
            device.public_key == published[state.node],
            where=Place.of_node(state.node),
            expected=f"the published key {published[state.node]}",
            seen=device.public_key,
            meaning="Peers encrypt to a key that this node no longer has, and it can read nothing of it.",
        )


@pytest.mark.ciliumwg_check(
    "peers.unique-published", source="pkg/wireguard/agent/agent.go: detected duplicate public key"
)
def test_published_keys_are_unique(nodes: Sequence[Node], verify: Verify) -> None:
    """No two nodes publish the same key."""
    owners = Counter(node.public_key for node in nodes if node.public_key)
    for node in nodes:
        if node.public_key:
            others = [twin.name for twin in nodes if twin.public_key == node.public_key and twin is not node]
            verify(
                owners[node.public_key] == 1,
                where=Place.of_node(node.name).concerning(others),
                expected="a key of its own",
                seen=f"the key of {', '.join(others)}",
                meaning="Cilium refuses the second of two nodes with one key as a peer, and sends to it in cleartext.",
            )


@pytest.mark.ciliumwg_check("peers.weak-keys", source="RFC 7748: a public key follows from its secret scalar alone")
def test_no_private_key_is_known_or_shared(observed: Observed, nodes: Sequence[Node], verify: Verify) -> None:
    """No key of a node, a device or a peer follows from a secret that everybody knows; no two devices have the same."""
    names = peer_names(nodes)
    for node in nodes:
        _verify_unknown(verify, Place.of_node(node.name), "publishes", node.public_key)
    holders: dict[str | None, list[str]] = {}
    for state, device in observed.devices():
        if state.node not in holders.setdefault(device.public_key, []):
            holders[device.public_key].append(state.node)
        _verify_unknown(verify, Place.of_node(state.node), "has", device.public_key)
        for peer in state.real_peers():
            if peer.public_key not in names:  # those that are published were verified
                _verify_unknown(verify, Place.of_node(state.node), "sends to", peer.public_key)
    for key, (first, *others) in holders.items():
        verify(
            key is None or not others,
            where=Place.of_node(first).concerning(others),
            expected="a key of its own",
            seen=f"that of {', '.join(others)}",
            meaning="What is encrypted to the one node, the other can read.",
        )


def _verify_unknown(verify: Verify, where: Place, how: str, key: str | None) -> None:
    verify(
        key not in KNOWN_PRIVATE_KEYS,
        where=where,
        expected="a key whose secret nobody else knows",
        seen=f"it {how} {key}, whose secret is known: {KNOWN_PRIVATE_KEYS.get(key or '')}",
        meaning="Everybody who captures the packets can decrypt them.",
    )


@pytest.mark.ciliumwg_check("peers.count", source=AGENT)
def test_count(observed: Observed, nodes: Sequence[Node], mesh: Mapping[str, str], verify: Verify) -> None:
    """A node has as many peers as other nodes publish keys, N - 1, and those of the other clusters of a mesh."""
    names = peer_names(nodes)
    for state, _ in observed.devices():
        others = {key for key, name in names.items() if name != state.node}
        peers = [peer for peer in state.real_peers() if peer.public_key not in mesh]
        missing = sorted(names[key] for key in others - {peer.public_key for peer in peers})
        strangers = [peer.endpoint for peer in peers if peer.public_key not in others]
        more = sorted(map(str, strangers))
        verify(
            len(peers) == len(others),
            where=Place.of_node(state.node).concerning(missing, (end.address for end in strangers if end)),
            expected=f"{len(others)} peers",
            seen=f"{len(peers)}"
            + (f", without {', '.join(missing)}" if missing else "")
            + (f", with others at {', '.join(more)}" if more else ""),
            meaning="Traffic to a node that is no peer is dropped or leaves in cleartext before Cilium knows the node.",
        )
        _tell_of_mesh(verify, state, mesh)


def _tell_of_mesh(verify: Verify, state: NodeState, mesh: Mapping[str, str]) -> None:
    """Note which peers are nodes of other clusters."""
    found = [peer for peer in state.real_peers() if peer.public_key in mesh]
    if found:
        told = ", ".join(sorted(f"{mesh[peer.public_key]} at {peer.endpoint}" for peer in found))
        ends = [peer.endpoint.address for peer in found if peer.endpoint]
        place = Place.of_node(state.node).concerning(addresses=ends)
        verify.note(place, f"peers of other clusters, whose keys nothing here confirms: {told}")


@pytest.mark.ciliumwg_check("peers.keys", source=KEYS)
def test_keys(observed: Observed, nodes: Sequence[Node], mesh: Mapping[str, str], verify: Verify) -> None:
    """The keys of a node's peers are those that the other nodes publish; in a mesh, or peers of another cluster."""
    known = {*peer_names(nodes), *mesh}
    for state, _ in observed.devices():
        peers = state.real_peers()
        strangers = [peer for peer in peers if peer.public_key not in known]
        verify.held(len(peers) - len(strangers))
        for peer in strangers:
            verify(
                False,
                where=Place.of_node(state.node).concerning(addresses=[peer.endpoint.address] if peer.endpoint else []),
                expected="peers with published keys only",
                seen=f"the peer {peer.public_key} at {peer.endpoint}",
                meaning="Either a node changed its key and this one did not learn it, or a stranger is a peer.",
            )


@pytest.mark.ciliumwg_check("peers.no-dummy", source="PR 34612: an all-zero peer, for the moment of moving allowed IPs")
def test_dummy_does_not_stay(judge: Judge, verify: Verify) -> None:
    """The all-zero peer that Cilium adds while it moves allowed IPs is gone a moment later."""
    for node, before in judge.measurement.before.items():
        after = judge.measurement.after[node]
        if reason := before.unread.get("peers") or after.unread.get("peers"):
            verify.unmeasured(Place.of_node(node), reason)
            continue
        stuck = all(DUMMY_KEY in {peer.public_key for peer in state.peers} for state in (before, after))
        verify(
            not stuck,
            where=Place.of_node(node),
            expected="no peer with an all-zero key that stays",
            seen=f"the peer {DUMMY_KEY} before and after the flows",
            meaning="Addresses that were moved to it reach nobody; the agent stopped half-way.",
        )


@pytest.mark.ciliumwg_check("peers.not-self", source=AGENT)
def test_own_key_is_no_peer(observed: Observed, verify: Verify) -> None:
    """A node is not its own peer."""
    for state, device in observed.devices():
        own = [peer for peer in state.peers if peer.public_key == device.public_key]
        verify(not own, where=Place.of_node(state.node), expected="no peer with its own key", seen=device.public_key)


@pytest.mark.ciliumwg_check(
    "peers.unique-endpoints", source="issue 31921: stale CiliumNodes make two peers with one endpoint"
)
def test_endpoints_are_unique(observed: Observed, nodes: Sequence[Node], verify: Verify) -> None:
    """No two peers of a node have the same endpoint."""
    names = peer_names(nodes)
    for state, _ in observed.devices():
        endpoints = Counter(peer.endpoint for peer in state.real_peers() if peer.endpoint is not None)
        shared = [endpoint for endpoint, count in endpoints.items() if count > 1]
        verify.held(len(endpoints) - len(shared))
        for endpoint in shared:
            sharing = [names.get(peer.public_key, peer.public_key) for peer in state.peers if peer.endpoint == endpoint]
            known = [name for name in sharing if name in names.values()]
            verify(
                False,
                where=Place.of_endpoint(state.node, endpoint).concerning(known),
                expected="one peer",
                seen=f"{', '.join(sharing)}",
                meaning="One of the two is stale or wrong; what is sent to it reaches the other, who cannot read it.",
            )


@pytest.mark.ciliumwg_check("peers.endpoint", source=source("listen_port"))
def test_endpoint_is_the_nodes_address(
    observed: Observed, readings: Readings, nodes: Sequence[Node], verify: Verify, expected: Expectations
) -> None:
    """A peer's endpoint is an address of its node, at port 51871, or that from which its packets come (NAT)."""
    by_key = {node.public_key: node for node in nodes if node.public_key}
    for state, _ in observed.devices():
        later = readings.last.states.get(state.node) if readings.last else None
        for peer in state.real_peers():
            node = by_key.get(peer.public_key)
            if node is None:
                continue  # a peer that nobody publishes is peers.keys' finding
            right = (
                peer.endpoint is not None
                and peer.endpoint.address in (*node.addresses, *node.external_addresses)
                and peer.endpoint.port == expected.listen_port
            )
            if not right and has_roamed(state, peer, nodes, later):
                place = Place.of_peer(state.node, node.name).concerning(addresses=node.addresses)
                verify.note(place, f"reached at {peer.endpoint}, whence its packets come: behind NAT, or roaming")
                right = True
            if right:
                verify.held()
                continue
            verify(
                False,
                where=Place.of_peer(state.node, node.name).concerning(
                    addresses=[*node.addresses, *([peer.endpoint.address] if peer.endpoint else [])]
                ),
                expected=f"{' or '.join(map(str, node.addresses))}, port {expected.listen_port}",
                seen=peer.endpoint or "no endpoint",
                meaning="Encrypted packets for this node are sent to somebody else.",
            )
