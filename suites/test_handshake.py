"""The WireGuard sessions between nodes are alive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import pytest

from pytest_ciliumwg.checks.handshakes import handshake_was_watched
from pytest_ciliumwg.checks.helpers import peer_names
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.model.cluster import Node
from pytest_ciliumwg.model.node_state import NodeState, Peer
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.watch import MessageKind
from pytest_ciliumwg.verdict.judge import Judge, Judgement

REJECT_AFTER = 180.0
"""Seconds after which WireGuard accepts nothing of a session any more (REJECT_AFTER_TIME)."""
PROTOCOL = "WireGuard whitepaper, section 5 and 6.1"


@pytest.mark.ciliumwg_check("handshake.completed", source=PROTOCOL)
def test_completed(judge: Judge, nodes: Sequence[Node], verify: Verify) -> None:
    """Every pair of nodes that had to talk through the tunnel completed a handshake."""
    for state, peer, name in _peers_after(judge, nodes, verify):
        tried = _count(judge, state.node, name, MessageKind.INITIATION)
        if peer.latest_handshake is None and not tried:
            verify.unmeasured(
                Place.between(state.node, name),
                "nothing entered the tunnel (see the wire checks), so nothing shook hands",
            )
            continue
        verify(
            peer.latest_handshake is not None,
            where=Place.between(state.node, name),
            expected="a completed handshake",
            seen=f"none, though {tried} initiations were sent",
            meaning="UDP 51871 is blocked between the two, or one of them has the other's key wrong.",
        )


@pytest.mark.ciliumwg_check("handshake.opened", source=PROTOCOL)
def test_opened(judge: Judge, verify: Verify) -> None:
    """The first packet between two nodes gets a session opened, and is answered."""
    for judgement in judge.judgements:
        if judgement.flow.purpose == "first":
            delivery = judgement.delivery
            if delivery.unmeasured and not delivery.received:
                verify.unmeasured(Place.of_flow(judgement.flow), delivery.unmeasured)
                continue
            verify(
                delivery.received > 0,
                where=Place.of_flow(judgement.flow),
                expected="an answer",
                seen=delivery.error or "none",
                meaning=_no_answer(judgement),
            )


def _no_answer(judgement: Judgement) -> str:
    if judgement.sightings:
        return "It left in cleartext, so nothing opened a session, and nobody answered."
    return "No session came of it: pods cannot talk until the other node sends."


@pytest.mark.ciliumwg_check("handshake.fresh", source=PROTOCOL)
def test_fresh(judge: Judge, nodes: Sequence[Node], verify: Verify) -> None:
    """While traffic flows, no session is older than 180 seconds."""
    for state, peer, name in _peers_after(judge, nodes, verify):
        if peer.latest_handshake is None:
            verify.unmeasured(Place.between(state.node, name), "no handshake completed (see handshake.completed)")
            continue
        age = state.observed_at - peer.latest_handshake
        verify(
            age < REJECT_AFTER,
            where=Place.between(state.node, name),
            expected=f"a handshake within the last {REJECT_AFTER:.0f} s",
            seen=f"{age:.0f} s ago",
            meaning="The session is dead; what is sent now is queued or dropped until a new handshake completes.",
        )


@pytest.mark.ciliumwg_check("handshake.on-wire", source=PROTOCOL)
def test_on_the_wire(judge: Judge, nodes: Sequence[Node], verify: Verify) -> None:
    """A handshake that began and completed during the watch was seen on the wire as initiation and response."""
    during = 0

    @lru_cache(maxsize=1)  # they come node by node, and all together are many
    def before(node: str) -> Mapping[str, Peer]:
        earlier = judge.measurement.before.get(node)
        return {peer.public_key: peer for peer in earlier.peers} if earlier else {}

    for state, peer, name in _peers_after(judge, nodes, verify):
        watch = judge.measurement.watches.get(state.node)
        started = watch.started if watch is not None else 0.0
        if not handshake_was_watched(before(state.node).get(peer.public_key), peer, started):
            continue
        counts = {
            kind: _count(judge, state.node, name, kind) for kind in (MessageKind.INITIATION, MessageKind.RESPONSE)
        }
        during += 1
        if state.node in judge.blindness and not all(counts.values()):
            verify.unmeasured(Place.between(state.node, name), judge.blindness[state.node][0])
            continue
        for kind, count in counts.items():
            verify(
                count > 0,
                where=Place.between(state.node, name),
                expected=f"a handshake {kind.name.lower()} on a native device",
                seen="none",
                meaning="The session was made by packets that no watch saw: they take a way that is not watched.",
            )
    if not during:
        verify.unsupported(Place.everywhere("all pairs"), "no session began in the watch; they are renewed every 120 s")


def _peers_after(judge: Judge, nodes: Sequence[Node], verify: Verify) -> Iterator[tuple[NodeState, Peer, str]]:
    """Each node's peers after the watch, with their nodes' names: those with which it was asked to talk."""
    names = peer_names(nodes)
    after = judge.measurement.after
    for node, state in after.items():
        by_name = {names[peer.public_key]: peer for peer in reversed(state.peers) if peer.public_key in names}
        for peer_node in after:
            if peer_node == node or judge.left_out(node, peer_node):
                continue
            if peer := by_name.get(peer_node):
                yield state, peer, peer_node
            else:
                verify.unmeasured(
                    Place.between(node, peer_node), f"{peer_node} is no peer of {node} (see the peers checks)"
                )


def _count(judge: Judge, node: str, peer: str, kind: MessageKind) -> int:
    """Messages of a kind between two nodes, in either direction, that the first one's watch saw."""
    return judge.count(node, node, peer, kind) + judge.count(node, peer, node, kind)
