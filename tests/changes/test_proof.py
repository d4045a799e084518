"""Each kind of change has to show in the cluster; who says that it was made proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ciliumwg.changes.actions import CHURN_ROUNDS
from pytest_ciliumwg.changes.apply import ChangeResult, ClusterState, Observation
from pytest_ciliumwg.changes.catalogue import DISRUPTIONS, Change, observation, upgrade
from pytest_ciliumwg.changes.convergence import Convergence
from pytest_ciliumwg.changes.proof import proof_of
from pytest_ciliumwg.changes.tolerance import Tolerance
from pytest_ciliumwg.model.timeline import AgentPod, ChangeStep, Event, Snapshot
from tests.watch.made import clear, event, outage, timeline

CHANGES = {change.name: change for change in (*DISRUPTIONS, upgrade("1.17", "1.18"), observation(5.0))}


def agents(first: str, two: str, *, ready: bool = True) -> dict[str, AgentPod]:
    return {"one": AgentPod(name=first, ready=ready), "two": AgentPod(name=two, ready=True)}


def snapshot(**parts: Any) -> Snapshot:
    given: dict[str, Any] = {"agents": agents("a", "b"), "nodes": {"one": True, "two": True}}
    return Snapshot(**given | {"keys": {"one": "k", "two": "l"}, "pods": {"p": "one", "q": "one"}} | parts)


def made(change: Change, *, error: str = "", seen_again: bool = True, **parts: Any) -> ChangeResult:
    """A change of the node `one`, with what the cluster and the timeline show after it."""
    line = timeline(**{name: parts.pop(name) for name in ("events", "outages", "clear", "stopped") if name in parts})
    watched = Observation(
        timeline=line,
        tolerance=Tolerance(hit_outage=None, other_outage=0.0, clear_reported=False),
        before=ClusterState(snapshot=snapshot(), fingerprint={}),
        after=ClusterState(snapshot=snapshot(**parts), fingerprint={}) if seen_again else None,
        convergence=Convergence(after=1.0, limit=2.0, wrong=()),
    )
    return ChangeResult(change=change, node="one", error=error, watched=watched)


def step(name: ChangeStep) -> Event:
    return Event(kind="change", what="deleting words", node="one", at=150.0, since=150.0, step=name)


RESTARTED = (event(150.0, "its agent was restarted", kind="watch-restarted"),)
SHOWN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("agent-restart", {"agents": agents("c", "b")}, {"agents": agents("a", "d")}),
    ("agent-restart", {"agents": agents("c", "b")}, {"agents": agents("c", "b", ready=False)}),
    ("agent-restart-all", {"agents": agents("c", "d")}, {"agents": agents("c", "b")}),
    ("pod-churn", {"events": (step("delete-pod"),) * CHURN_ROUNDS}, {"events": (step("create-pod"),) * CHURN_ROUNDS}),
    ("pod-churn", {"events": (step("delete-pod"),) * CHURN_ROUNDS}, {"events": (step("delete-pod"),)}),
    ("key-replaced", {"agents": agents("c", "b"), "keys": {"one": "m"}}, {"agents": agents("c", "b")}),
    ("key-replaced", {"agents": agents("c", "b"), "keys": {"one": "m"}}, {"keys": {"one": "m"}}),
    ("device-down", {"outages": (outage(0, 150.0, 152.0),)}, {}),
    ("port-blocked", {"clear": (clear(),)}, {}),
    ("ipcache-lost", {"clear": (clear(),)}, {}),
    ("node-restart", {"events": RESTARTED}, {}),
    ("node-drained", {"pods": {"q": "one"}}, {}),
    ("node-removed", {"nodes": {"two": True}}, {}),
    ("node-added", {}, {"nodes": {"one": False, "two": True}}),
    ("node-added", {}, {"nodes": {"two": True}}),
    ("upgraded-to-1.18", {"agents": agents("c", "d")}, {"agents": agents("c", "b")}),
    ("observed", {}, {"stopped": 100.0}),
]


@pytest.mark.parametrize(("name", "shown", "_"), SHOWN)
def test_what_shows_proves_it(name: str, shown: dict[str, Any], _: object) -> None:
    proofs = proof_of(made(CHANGES[name], **shown))
    assert proofs
    assert all(proof.holds for proof in proofs)


@pytest.mark.parametrize(("name", "_", "missing"), SHOWN)
def test_what_does_not_show_is_no_proof(name: str, _: object, missing: dict[str, Any]) -> None:
    assert not all(proof.holds for proof in proof_of(made(CHANGES[name], **missing)))


def test_every_change_is_here() -> None:
    assert {name for name, _, _ in SHOWN} == CHANGES.keys()


def test_what_was_not_made_or_not_seen_again_proves_nothing() -> None:
    change = CHANGES["agent-restart"]
    assert proof_of(made(change, error="no", agents=agents("c", "b"))) == ()
    assert proof_of(made(change, seen_again=False)) == ()
    assert proof_of(ChangeResult(change=change, node="one")) == ()
