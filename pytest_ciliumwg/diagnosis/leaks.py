"""Describe cleartext during changes: what was seen, when, and what caused it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_ciliumwg.diagnosis.causes import Cause, Causes
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import Timeline
from pytest_ciliumwg.model.traffic import Sighting
from pytest_ciliumwg.verdict.timeline import clock, frames_in_clear


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One interval of cleartext, in words."""

    seen: Sighting
    cause: Cause
    where: Place
    """The flow; the device, where it is not known."""
    told: str
    """What was seen, when, where and after what."""


def leaks(timeline: Timeline) -> tuple[Leak, ...]:
    """Everything that was in cleartext, in the order of time."""
    causes = Causes(timeline)
    return tuple(_leak(timeline, seen, causes.of(seen)) for seen in timeline.clear)


def leaks_by_pair(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """(Pair of nodes, what was seen) for each directed pair with cleartext: the first of it, and how much in all."""
    pairs: dict[str, list[Leak]] = {}
    for leak in leaks(timeline):
        flow = timeline.flows.get(leak.seen.flow)
        pairs.setdefault(" → ".join(flow.pair) if flow else str(leak.where), []).append(leak)
    for pair, pair_leaks in pairs.items():
        frames, flows = frames_in_clear(leak.seen for leak in pair_leaks), len({leak.seen.flow for leak in pair_leaks})
        yield (
            pair,
            f"{frames} frames of {flows} flows in cleartext; the first: {pair_leaks[0].where}: {pair_leaks[0].told}",
        )


def leaks_by_flow(timeline: Timeline) -> Iterator[tuple[Place, str]]:
    """(Flow, what was seen) for each flow with cleartext: the first of it, and how often more."""
    flows: dict[str, list[Leak]] = {}
    for leak in leaks(timeline):
        flows.setdefault(str(leak.where), []).append(leak)
    for flow_leaks in flows.values():
        more = f"; and {len(flow_leaks) - 1} more sightings of it" if len(flow_leaks) > 1 else ""
        yield flow_leaks[0].where, flow_leaks[0].told + more


def _leak(timeline: Timeline, seen: Sighting, cause: Cause) -> Leak:
    flow = timeline.flows.get(seen.flow)
    told = seen.told(f" at {clock(seen.first_at)} for {seen.last_at - seen.first_at:.3f} s")
    unknown = Place.of_node(seen.node, seen.device, detail="of which flow cannot be told")
    where = Place.of_flow(flow) if flow else unknown
    return Leak(seen=seen, cause=cause, where=where, told="".join([told, *_after(cause, seen)]))


def _after(cause: Cause, seen: Sighting) -> Iterator[str]:
    for event in (cause.change, cause.event):
        if event is not None:
            yield f"; {_later(seen, event.at)} {event}"
    if cause.absence is not None:
        absence = cause.absence
        when = f"from {clock(absence.first_at)} to {clock(absence.last_at)}"
        yield f"; all of it while {absence.what} on {absence.node} ({when})"


def _later(seen: Sighting, at: float) -> str:
    return f"{seen.first_at - at:.3f} s after" if seen.first_at > at else "at the time of:"
