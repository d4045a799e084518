"""Find the cause of a leak: the event before it, and what was missing on a node for exactly as long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ciliumwg.diagnosis.absences import Absence, absences
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.timeline import Event, Timeline
from pytest_ciliumwg.model.traffic import Sighting

CLOCK_DOUBT = 0.05
"""Seconds: frames and events of two nodes cannot be ordered more exactly, however well their offsets are known."""
LINGERING = 1.0
"""Seconds: how late after something was gone, and how early before it is back, a leak may begin and end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What came before cleartext."""

    change: Event | None
    """The last thing that the run did to the cluster."""
    event: Event | None
    """The last thing that happened on the pair's nodes, as their kernels or the API told."""
    absence: Absence | None
    """What was missing on the sending node while all these frames passed."""


class Causes:
    """The causes of all cleartext of a timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._known: dict[IPFamily | None, tuple[Sequence[Event], Sequence[Absence]]] = {}

    def of(self, seen: Sighting) -> Cause:
        """What came before an interval of cleartext."""
        flow = self._timeline.flows.get(seen.flow)
        nodes = flow.pair if flow else (seen.node,)
        doubt = CLOCK_DOUBT + max((self._timeline.uncertainty.get(node, 0.0) for node in nodes), default=0.0)
        events, missing = self._about(flow.family if flow else None)
        before = [event for event in events if event.since <= seen.first_at + doubt]
        return _cause(
            nodes, before, [absence for absence in missing if absence.node in nodes and _fills(absence, seen, doubt)]
        )

    def _about(self, family: IPFamily | None) -> tuple[Sequence[Event], Sequence[Absence]]:
        """What happened, without what happened to the other family alone."""
        if family not in self._known:
            events = [event for event in self._timeline.events if _concerns(event, family)]
            self._known[family] = events, tuple(absences(events, self._timeline.stopped))
        return self._known[family]


def _concerns(event: Event, family: IPFamily | None) -> bool:
    """Whether an event may matter to a flow of a family; to a frame of no known flow everything may."""
    return family is None or event.family in (None, family)


def _cause(nodes: Sequence[str], before: Sequence[Event], fitting: Sequence[Absence]) -> Cause:
    changes = [event for event in before if event.kind == "change"]
    others = [event for event in before if event.kind != "change" and (event.node is None or event.node in nodes)]
    return Cause(
        change=changes[-1] if changes else None,
        event=max(others, key=lambda event: event.since) if others else None,
        absence=max(fitting, key=lambda absence: absence.first_at) if fitting else None,
    )


def _fills(absence: Absence, seen: Sighting, doubt: float) -> bool:
    """Whether nothing leaked before it began or after it ended, and nothing was encrypted for long while it lasted."""
    inside = absence.first_at - doubt <= seen.first_at and seen.last_at <= absence.last_at + doubt
    return inside and absence.last_at - seen.last_at <= LINGERING and seen.first_at - absence.first_at <= LINGERING
