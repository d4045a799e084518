"""Cut a flow's time into spans by what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pytest_ciliumwg.model.timeline import Outage, Timeline

SpanKind = Literal["encrypted", "cleartext", "lost", "unwatched", "unproven"]
_WORST_FIRST: tuple[SpanKind, ...] = ("cleartext", "lost", "unwatched", "unproven", "encrypted")


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which one thing is known of a flow."""

    kind: SpanKind
    first_at: float
    last_at: float


def spans(timeline: Timeline, flow_id: int) -> tuple[Span, ...]:
    """A flow's whole time without gaps: where several things hold, the worst of them counts.

    `encrypted` was delivered under two sound watches, went through the tunnel, and was not in cleartext; `unwatched`
    where a watch was blind; `unproven` where nothing of it passed the tunnel, as when its sender was held up.
    """
    flow = timeline.flows[flow_id]
    marks: list[Span] = [
        Span("cleartext", seen.first_at, seen.last_at) for seen in timeline.clear if seen.flow == flow_id
    ]
    marks += [Span("lost", outage.first_at, outage.last_at) for outage in timeline.outages if outage.flow == flow_id]
    blind = (*timeline.blind, *timeline.inside_blind)
    marks += [
        Span("unwatched", interval.first_at, interval.last_at) for interval in blind if interval.node in flow.pair
    ]
    marks += [Span("unproven", gap.first_at, gap.last_at) for gap in timeline.gaps if gap.flow == flow_id]
    if flow_id not in timeline.totals:
        marks.append(Span("unwatched", timeline.started, timeline.stopped))
    inside = [
        Span(mark.kind, max(mark.first_at, timeline.started), min(mark.last_at, timeline.stopped))
        for mark in marks
        if mark.last_at >= timeline.started and mark.first_at <= timeline.stopped
    ]
    return _without_gaps(_united(inside), timeline.started, timeline.stopped)


def _united(marks: Sequence[Span]) -> list[Span]:
    """Merge marks of one kind that overlap: both ends of a pair see the same leak."""
    united: list[Span] = []
    for mark in sorted(marks, key=lambda span: (span.kind, span.first_at)):
        last = united[-1] if united else None
        if last is not None and last.kind == mark.kind and mark.first_at <= last.last_at:
            united[-1] = Span(mark.kind, last.first_at, max(last.last_at, mark.last_at))
        else:
            united.append(mark)
    return united


def _without_gaps(marks: Sequence[Span], started: float, stopped: float) -> tuple[Span, ...]:
    cuts = sorted({started, stopped, *(at for mark in marks for at in (mark.first_at, mark.last_at))})
    found: list[Span] = []
    for first, last in pairwise(cuts):
        kinds = {mark.kind for mark in marks if mark.first_at <= first and last <= mark.last_at}
        # A single frame lasts no time at all, and is cleartext all the same.
        found += [Span("cleartext", first, first)] if _moment(marks, first) and "cleartext" not in kinds else []
        found.append(Span(next((kind for kind in _WORST_FIRST if kind in kinds), "encrypted"), first, last))
    return tuple(_joined(found))


def _moment(marks: Sequence[Span], at: float) -> bool:
    return any(mark.kind == "cleartext" and mark.first_at == mark.last_at == at for mark in marks)


def _joined(found: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in found:
        if joined and joined[-1].kind == span.kind:
            joined[-1] = Span(span.kind, joined[-1].first_at, span.last_at)
        else:
            joined.append(span)
    return joined


def longest_outage(timeline: Timeline, flow_id: int) -> Outage | None:
    """The longest time in which a flow was not answered."""
    found = [outage for outage in timeline.outages if outage.flow == flow_id]
    return max(found, key=lambda outage: outage.seconds, default=None)
