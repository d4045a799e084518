"""The chain of custody of flows that go on while things change: what was answered and never was inside the tunnel.

What a watch may have missed while it was blind is given to the flow, and where nothing is proven then, that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_ciliumwg.agent.capture.inside import QUIET_SECONDS
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import BlindInterval, FlowTotals, Gap, Timeline
from pytest_ciliumwg.model.traffic import Flow
from pytest_ciliumwg.model.watch import Passage
from pytest_ciliumwg.observe.wireguard import DEVICE
from pytest_ciliumwg.verdict.custody import NOTHING, Point, points, shortage
from pytest_ciliumwg.verdict.timeline import clock

_MARGIN_SECONDS = 1.0
"""Around a time in which a watch was blind: the clocks of two nodes, and messages on their way."""
_TURNS = ("set down", "set up")
"""A packet on its way while the device is turned so is delivered without being seen: captures end and begin then."""
_BURST = 2.0
"""A sender that was held up sends so many times as much as on the average, for a while."""


def bypasses(timeline: Timeline) -> Iterator[tuple[Place, str]]:
    """(Flow, why) for each flow of which more was answered than passed the tunnel, and that was not in cleartext."""
    in_clear = {seen.flow for seen in timeline.clear}
    for flow in timeline.flows.values():
        totals = timeline.totals.get(flow.id)
        if flow.purpose == "continuous" and totals is not None and totals.answered and flow.id not in in_clear:
            for point in points(flow):
                if why := _bypass(timeline, flow, totals, point):
                    yield Place.of_flow(flow), why
                    break


def unproven(timeline: Timeline, away: frozenset[str]) -> Iterator[tuple[Place, str]]:
    """(Node, why) for each node of which it is not known what passed inside the tunnel.

    Nodes that were away on purpose are left out, and times shorter than a gap: a device that was made anew is taken up
    a moment later.
    """
    nodes = dict.fromkeys(node for flow in timeline.flows.values() for node in flow.pair)
    for node in nodes:
        if node not in timeline.inside and node not in away:
            yield Place.of_node(node), "its watch never told what passed inside the tunnel"
    for blind in timeline.inside_blind:
        if timeline.covers(blind) and blind.node not in away and blind.last_at - blind.first_at >= QUIET_SECONDS:
            when = f"from {clock(blind.first_at)} to {clock(blind.last_at)}"
            yield Place.of_node(blind.node), f"what passed inside the tunnel is not known {when}: {blind.why}"
    yield from _all_given(timeline, away)


def _all_given(timeline: Timeline, away: frozenset[str]) -> Iterator[tuple[Place, str]]:
    """(Flow, why) for each flow of which all is given to times that are not known, and not even half was seen."""
    in_clear = {seen.flow for seen in timeline.clear}
    for flow in timeline.flows.values():
        totals = timeline.totals.get(flow.id)
        if flow.purpose != "continuous" or totals is None or not totals.answered or flow.id in in_clear:
            continue
        for point in points(flow):
            if point.node in away or point.node not in timeline.inside:
                continue
            all_given = _given(timeline, totals, point.node) >= totals.answered
            if all_given and shortage(flow, point, _passage(timeline, flow, point), max(1, totals.answered // 2)):
                why = [blind.why for blind in _blind(timeline) if blind.node == point.node][:1]
                where = f"passed {point.node} while it was not known what did"
                told = f"most of its {totals.answered} messages may have {where}"
                yield Place.of_flow(flow), ", such as: ".join([told, *why])
                break


def _passage(timeline: Timeline, flow: Flow, point: Point) -> Passage:
    return timeline.inside.get(point.node, {}).get((flow.id, point.outgoing), NOTHING)


def _bypass(timeline: Timeline, flow: Flow, totals: FlowTotals, point: Point) -> str | None:
    if point.node not in timeline.inside:
        return None
    passage = _passage(timeline, flow, point)
    messages = totals.answered - _given(timeline, totals, point.node)
    why = shortage(flow, point, passage, messages) if messages > 0 else None
    if why is None:
        return None
    gaps = [gap for gap in timeline.gaps if (gap.flow, gap.node, gap.outgoing) == (flow.id, point.node, point.outgoing)]
    return f"{why}{_longest(gaps)}"


def _longest(gaps: list[Gap]) -> str:
    longest = max(gaps, key=lambda gap: gap.last_at - gap.first_at, default=None)
    if longest is None:
        return ""
    return f"; nothing of it passed there from {clock(longest.first_at)} to {clock(longest.last_at)}"


def _given(timeline: Timeline, totals: FlowTotals, node: str) -> int:
    """How many messages may have passed while it was not known what did."""
    seconds = _seconds(interval for interval in _blind(timeline) if interval.node == node)
    lasted = max(timeline.stopped - timeline.started, _MARGIN_SECONDS)
    return int(seconds * _BURST * totals.sent / lasted) + bool(seconds) + _turns(timeline, node)


def _turns(timeline: Timeline, node: str) -> int:
    of_device = (event for event in timeline.events if event.node == node and event.subject == DEVICE)
    return sum(event.count for event in of_device if event.verb in _TURNS)


def _blind(timeline: Timeline) -> Iterator[BlindInterval]:
    yield from (*timeline.inside_blind, *timeline.blind)


def _seconds(intervals: Iterable[BlindInterval]) -> float:
    """How long they last together, with their margins; what lies in several counts once."""
    total, until = 0.0, float("-inf")
    for first, last in sorted((one.first_at - _MARGIN_SECONDS, one.last_at + _MARGIN_SECONDS) for one in intervals):
        total += max(0.0, last - max(first, until))
        until = max(until, last)
    return total
