"""What happened during a change: events, and when which flows were not encrypted and answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ciliumwg.report.html.pairs import Table, traffic

Row = Mapping[str, Any]
_MOST_ROWS, _MOST_EVENTS, _MOST_LEAKS = 40, 200, 100
_WIDTH, _THINNEST = 1000, 2.0
_WORST_FIRST = ("cleartext", "lost", "unproven", "unwatched", "encrypted")


def change(row: Row, table: Table) -> dict[str, Any]:
    """One change, with its timeline as lanes of a drawing, as wide as `_WIDTH`."""
    timeline = row["timeline"]
    if timeline is None:
        return {**row, "timeline": None}
    lanes = sorted(_lanes(timeline), key=lambda lane: (_WORST_FIRST.index(lane["worst"]), -lane["seconds"]))
    leaks = [_leak(leak, timeline, table) for leak in timeline["leaks"][:_MOST_LEAKS]]
    return {
        **row,
        "timeline": timeline,
        "width": _WIDTH,
        "seconds": timeline["stopped"] - timeline["started"],
        "lanes": lanes[:_MOST_ROWS],
        "more_lanes": len(lanes[_MOST_ROWS:]),
        "events": timeline["events"][:_MOST_EVENTS],
        "more_events": len(timeline["events"][_MOST_EVENTS:]),
        "marks": sorted({_at(timeline, event["at"]) for event in timeline["events"]}),
        "leaks": leaks,
        "more_leaks": len(timeline["leaks"][_MOST_LEAKS:]),
    }


def _at(timeline: Row, moment: float) -> float:
    """Where a moment is in the drawing."""
    whole: float = max(timeline["stopped"] - timeline["started"], 0.001)
    place: float = min(max((moment - timeline["started"]) / whole, 0.0), 1.0)
    return round(place * _WIDTH, 1)


def _lanes(timeline: Row) -> Iterator[dict[str, Any]]:
    """Each flow that was not encrypted and answered all the time."""
    for flow in timeline["flows"]:
        spans = [span for span in flow["spans"] if span[0] != "encrypted"]
        if spans:
            bars = [
                (kind, x := _at(timeline, first), max(round(_at(timeline, last) - x, 1), _THINNEST))
                for kind, first, last in spans
            ]
            yield {
                "title": f"{traffic(flow)} {flow['source_node']} → {flow['destination_node']}",
                "worst": min((span[0] for span in spans), key=_WORST_FIRST.index),
                "seconds": sum(last - first for _, first, last in spans),
                "bars": bars,
                "spans": spans,
            }


def _leak(leak: Row, timeline: Row, table: Table) -> dict[str, Any]:
    flow = next((flow for flow in timeline["flows"] if flow["id"] == leak["flow"]), None)
    pair = table.cell(flow["source_node"], flow["destination_node"]) if flow else None
    return {**leak, "pair": pair}
