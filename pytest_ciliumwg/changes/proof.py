"""Prove that a change has really happened, from what the cluster shows and not from the operation's return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pytest_ciliumwg.changes import actions
from pytest_ciliumwg.changes.apply import ChangeResult
from pytest_ciliumwg.changes.catalogue import Change, Kind
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import Snapshot, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that a change has to show."""

    holds: bool
    where: Place
    expected: str
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A change that was made, and what there is to prove it."""

    change: Change
    node: str
    before: Snapshot
    after: Snapshot
    timeline: Timeline


def proof_of(made: ChangeResult) -> tuple[Proof, ...]:
    """What shows that a change was made; empty where it was not, or the cluster could not be looked at again."""
    seen = made.watched
    if made.error or seen is None or seen.after is None:
        return ()
    case = _Case(
        change=made.change,
        node=made.node,
        before=seen.before.snapshot,
        after=seen.after.snapshot,
        timeline=seen.timeline,
    )
    return tuple(_BY_KIND[made.change.kind](case))


def _new_agents(case: _Case) -> Iterator[Proof]:
    before, after = case.before.agents, case.after.agents
    for node in before if case.change.everywhere else [case.node]:
        was, now = before.get(node), after.get(node)
        yield Proof(
            holds=now is not None and now.ready and (was is None or now.name != was.name),
            where=Place.of_node(node),
            expected=f"another Cilium agent than {was.name if was else 'none'}",
            seen=f"{now.name}{'' if now.ready else ', not ready'}" if now else "none",
        )


def _new_key(case: _Case) -> Iterator[Proof]:
    yield from _new_agents(case)
    was, now = case.before.keys.get(case.node), case.after.keys.get(case.node)
    yield Proof(
        holds=now not in (None, was), where=Place.of_node(case.node), expected=f"another key than {was}", seen=str(now)
    )


def _traffic_met_it(case: _Case) -> Iterator[Proof]:
    """What took the tunnel away was noticed by packets: they were lost, or they were in cleartext."""
    timeline = case.timeline
    lost = sum(outage.lost for outage in timeline.outages if case.node in timeline.flows[outage.flow].pair)
    clear = sum(sighting.frames for sighting in timeline.clear)
    yield Proof(
        holds=lost + clear > 0,
        where=Place.of_node(case.node),
        expected="packets that were lost or in cleartext meanwhile",
        seen=f"{lost} lost, {clear} in cleartext",
    )


def _pods_came_and_went(case: _Case) -> Iterator[Proof]:
    deleted = sum(event.step == "delete-pod" for event in case.timeline.events)
    yield Proof(
        holds=deleted >= actions.CHURN_ROUNDS,
        where=Place.everywhere("all nodes"),
        expected=f"{actions.CHURN_ROUNDS} pods made, sending and deleted",
        seen=str(deleted),
    )


def _was_away(case: _Case) -> Iterator[Proof]:
    again = [event for event in case.timeline.events if event.node == case.node and event.kind == "watch-restarted"]
    yield Proof(
        holds=bool(again),
        where=Place.of_node(case.node),
        expected="its agents were restarted",
        seen=f"{len(again)} restarts",
    )


def _drained(case: _Case) -> Iterator[Proof]:
    before = {pod for pod, node in case.before.pods.items() if node == case.node}
    after = {pod for pod, node in case.after.pods.items() if node == case.node}
    yield Proof(
        holds=before != after or len(before) <= 1,
        where=Place.of_node(case.node),
        expected="fewer pods than before",
        seen=f"{len(before)} before, {len(after)} now",
    )


def _is_gone(case: _Case) -> Iterator[Proof]:
    there = case.node in case.after.nodes
    yield Proof(
        holds=not there,
        where=Place.of_node(case.node),
        expected="it left the cluster",
        seen="it is there" if there else "gone",
    )


def _is_back(case: _Case) -> Iterator[Proof]:
    back = case.after.nodes.get(case.node, False)
    yield Proof(
        holds=back,
        where=Place.of_node(case.node),
        expected="it is in the cluster, and Ready",
        seen="so" if back else "not so",
    )


def _watched(case: _Case) -> Iterator[Proof]:
    seconds = case.timeline.stopped - case.timeline.started
    yield Proof(
        holds=seconds > 0,
        where=Place.everywhere("all nodes"),
        expected="they were watched",
        seen=f"for {seconds:.0f} s",
    )


_BY_KIND: dict[Kind, Callable[[_Case], Iterator[Proof]]] = {
    "restart": _new_agents,
    "churn": _pods_came_and_went,
    "rekey": _new_key,
    "outage": _traffic_met_it,
    "node-restart": _was_away,
    "drain": _drained,
    "node-gone": _is_gone,
    "node-back": _is_back,
    "upgrade": _new_agents,
    "none": _watched,
}
