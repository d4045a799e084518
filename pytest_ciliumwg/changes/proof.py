"""Whether a change has really happened: seen in the cluster, not taken from who made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pytest_ciliumwg.changes.actions import CHURN_ROUNDS
from pytest_ciliumwg.changes.catalogue import Kind
from pytest_ciliumwg.changes.perform import Made
from pytest_ciliumwg.model.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that a change has to show."""

    holds: bool
    where: str
    expected: str
    seen: str


def proof_of(made: Made) -> tuple[Proof, ...]:
    """What shows that a change was made; empty where it was not, or needs no proof."""
    if made.error or made.before is None or made.after is None or made.timeline is None:
        return ()
    return tuple(_BY_KIND[made.change.kind](made, made.timeline))


def _new_agents(made: Made, timeline: Timeline) -> Iterator[Proof]:
    del timeline
    if made.before is None or made.after is None:
        return
    before, after = made.before.snapshot.agents, made.after.snapshot.agents
    for node in before if made.change.everywhere else [made.node]:
        was, now = before.get(node), after.get(node)
        yield Proof(
            holds=now is not None and now.ready and (was is None or now.name != was.name),
            where=node,
            expected=f"another Cilium agent than {was.name if was else 'none'}",
            seen=f"{now.name}{'' if now.ready else ', not ready'}" if now else "none",
        )


def _new_key(made: Made, timeline: Timeline) -> Iterator[Proof]:
    yield from _new_agents(made, timeline)
    if made.before is None or made.after is None:
        return
    was, now = made.before.snapshot.keys.get(made.node), made.after.snapshot.keys.get(made.node)
    yield Proof(holds=now not in (None, was), where=made.node, expected=f"another key than {was}", seen=str(now))


def _traffic_met_it(made: Made, timeline: Timeline) -> Iterator[Proof]:
    """What took the tunnel away was noticed by packets: they were lost, or they were in clear."""
    lost = sum(one.lost for one in timeline.outages if made.node in timeline.flows[one.flow].pair)
    clear = sum(one.frames for one in timeline.clear)
    yield Proof(
        holds=lost + clear > 0,
        where=made.node,
        expected="packets that were lost or in clear meanwhile",
        seen=f"{lost} lost, {clear} in clear",
    )


def _pods_came_and_went(made: Made, timeline: Timeline) -> Iterator[Proof]:
    del made
    deleted = sum(event.kind == "change" and event.what.startswith("deleting") for event in timeline.events)
    yield Proof(
        holds=deleted >= CHURN_ROUNDS,
        where="all nodes",
        expected=f"{CHURN_ROUNDS} pods made, sending and deleted",
        seen=str(deleted),
    )


def _was_away(made: Made, timeline: Timeline) -> Iterator[Proof]:
    again = [event for event in timeline.events if event.node == made.node and event.kind == "watch-restarted"]
    yield Proof(holds=bool(again), where=made.node, expected="its agents were restarted", seen=f"{len(again)} restarts")


def _drained(made: Made, timeline: Timeline) -> Iterator[Proof]:
    del timeline
    if made.before is None or made.after is None:
        return
    before = {pod for pod, node in made.before.snapshot.pods.items() if node == made.node}
    after = {pod for pod, node in made.after.snapshot.pods.items() if node == made.node}
    yield Proof(
        holds=before != after or len(before) <= 1,
        where=made.node,
        expected="fewer pods than before",
        seen=f"{len(before)} before, {len(after)} now",
    )


def _is_gone(made: Made, timeline: Timeline) -> Iterator[Proof]:
    del timeline
    there = made.after is not None and made.node in made.after.snapshot.nodes
    yield Proof(
        holds=not there, where=made.node, expected="it left the cluster", seen="it is there" if there else "gone"
    )


def _is_back(made: Made, timeline: Timeline) -> Iterator[Proof]:
    del timeline
    back = made.after is not None and made.after.snapshot.nodes.get(made.node, False)
    yield Proof(
        holds=back, where=made.node, expected="it is in the cluster, and Ready", seen="so" if back else "not so"
    )


def _upgraded(made: Made, timeline: Timeline) -> Iterator[Proof]:
    yield from _new_agents(made, timeline)


def _none(made: Made, timeline: Timeline) -> Iterator[Proof]:
    del made
    seconds = timeline.stopped - timeline.started
    yield Proof(holds=seconds > 0, where="all nodes", expected="they were watched", seen=f"for {seconds:.0f} s")


_BY_KIND: dict[Kind, Callable[[Made, Timeline], Iterator[Proof]]] = {
    "restart": _new_agents,
    "churn": _pods_came_and_went,
    "rekey": _new_key,
    "outage": _traffic_met_it,
    "node-restart": _was_away,
    "drain": _drained,
    "node-gone": _is_gone,
    "node-back": _is_back,
    "upgrade": _upgraded,
    "none": _none,
}
