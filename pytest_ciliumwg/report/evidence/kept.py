"""Which frames are evidence: ours, seen in cleartext where encryption is promised; and why each of them is ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.model.traffic import EvidenceFrame, Flow, Sighting
from pytest_ciliumwg.report.record import RunRecord

_WHY_OURS = {
    "canary": "it holds the canary of this flow",
    "header": "it has the addresses and ports of this flow, and is too short for a canary",
    "quoted": "it quotes the header of a packet of this flow",
}
Where = tuple[str, str]
"""Node and device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One frame, with the sighting that it is of."""

    frame: EvidenceFrame
    seen: Sighting
    flow: Flow | None
    """None: it is ours for certain, though of which flow cannot be told."""
    stage: str = ""
    """The stage whose watch saw it; empty where it was seen during a change."""
    change: str = ""

    @property
    def comment(self) -> str:
        """The flow, the direction and why it is ours, for whoever opens the file."""
        way = "leaving" if self.seen.outgoing else "entering"
        when = f"during {self.change}" if self.change else f"in stage {self.stage}"
        flow = f"flow {self.flow.id}, {self.flow}" if self.flow else "a flow that is not known"
        why = _WHY_OURS[self.seen.how] if self.flow else "it holds a canary of this run"
        return f"{self.seen.direction} of {flow}; {way} {self.seen.node} {self.seen.device} {when}; ours because {why}"

    def fields(self) -> dict[str, Any]:
        """It as report.json has it, before it is decoded."""
        return {
            "stage": self.stage or None,
            "change": self.change or None,
            "flow": self.seen.flow,
            "direction": self.seen.direction,
            "outgoing": self.seen.outgoing,
            "how": self.seen.how,
            "at": self.frame.at,
            "length": self.frame.length,
            "comment": self.comment,
        }


def evidence(record: RunRecord) -> dict[Where, list[Kept]]:
    """Where they were seen → the frames in cleartext that were kept, in the order of time."""
    found: dict[Where, list[Kept]] = {}
    for kept in (*_of_stages(record), *_of_changes(record)):
        found.setdefault((kept.seen.node, kept.seen.device), []).append(kept)
    return {where: sorted(found[where], key=lambda kept: kept.frame.at) for where in sorted(found)}


def _of_stages(record: RunRecord) -> Iterator[Kept]:
    for stage, judge in record.judges.items():
        flows = {flow.id: flow for flow in judge.measurement.flows}
        promised = {number: flow for number, flow in flows.items() if flow.promised}
        for watch in judge.measurement.watches.values():
            for seen in watch.sightings:
                flow = flows.get(seen.flow)
                if flow is None or (flow.promised and not flow.clear_by_design(seen)):
                    yield from _frames(seen, promised, stage=stage)


def _of_changes(record: RunRecord) -> Iterator[Kept]:
    for made in record.changes:
        for seen in made.watched.timeline.clear if made.watched else ():
            yield from _frames(seen, made.watched.timeline.flows if made.watched else {}, change=made.change.name)


def _frames(seen: Sighting, flows: Mapping[int, Flow], *, stage: str = "", change: str = "") -> Iterator[Kept]:
    for frame in seen.evidence:
        yield Kept(frame=frame, seen=seen, flow=flows.get(seen.flow), stage=stage, change=change)
