"""What the agents have logged so far, with times on our clock, in bounded memory."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_ciliumwg.agent.log import UNSENT
from pytest_ciliumwg.agent_client.replies import conversation, device_reports, kernel_event, passages, sighting
from pytest_ciliumwg.model.timeline import BlindInterval, Event, EventKind, FlowTotals, Gap, Outage
from pytest_ciliumwg.model.traffic import Sighting
from pytest_ciliumwg.model.watch import Conversation, DeviceReport, Passage
from pytest_ciliumwg.watch.clock_sync import Clocks, Offset
from pytest_ciliumwg.watch.heartbeats import LONGEST_PAUSE, Heartbeats

Row = Mapping[str, Any]

KERNEL_DELAY = 0.2
"""The agent looks ten times a second what has changed in the kernel; on a busy node it takes at most so long."""
MOST = 50_000
"""Of each kind; what comes after that is counted and makes the watch unsound, but is not kept."""
OUTAGES = 200
"""Of each flow so many are kept, the longest; all of them are counted."""
EVIDENCE = 200
"""So many intervals keep frames as evidence."""


@dataclass(slots=True)
class _Totals:
    """One flow's account: of agents that are gone, and of the one that is there."""

    gone: tuple[int, ...] = (0, 0, 0, 0, 0)
    now: tuple[int, ...] = (0, 0, 0, 0, 0)

    def sum(self) -> tuple[int, ...]:
        return tuple(gone + now for gone, now in zip(self.gone, self.now, strict=True))


@dataclass(slots=True)
class Ledger:
    """Collects what agents log; may be used by many threads."""

    nodes: Sequence[str]
    """In the order of their control canaries."""
    longest_pause: float = LONGEST_PAUSE
    """Seconds between two control canaries of a node; more is a gap whatever their numbers."""
    clear: list[Sighting] = field(default_factory=list)
    quoted: dict[tuple[Any, ...], Sighting] = field(default_factory=dict)
    blind: list[BlindInterval] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    inside_blind: list[BlindInterval] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    conversations: list[tuple[str, Conversation]] = field(default_factory=list)
    pods_blind: list[BlindInterval] = field(default_factory=list)
    overflowed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """What was not kept → how many of it."""
    clocks: Clocks = field(default_factory=Clocks)
    lock: threading.RLock = field(default_factory=threading.RLock)
    heartbeats: Heartbeats = field(init=False)
    _totals: dict[int, _Totals] = field(default_factory=lambda: defaultdict(_Totals))
    _open: dict[int, Outage] = field(default_factory=dict)
    _outages: dict[int, list[tuple[float, int, Outage]]] = field(default_factory=lambda: defaultdict(list))
    """Flow → a heap of its longest outages, the shortest of them first."""
    _outage_numbers: Iterator[int] = field(default_factory=itertools.count)
    _offsets: dict[str, Offset] = field(default_factory=dict)
    _begun: dict[str, set[float]] = field(default_factory=lambda: defaultdict(set))
    """Node → when its watches began: one, and one more each time that it had to begin again."""
    _ended: dict[str, Row] = field(default_factory=dict)
    """Node → what its watch had counted at its end."""

    _inside: dict[str, dict[float, Row]] = field(default_factory=lambda: defaultdict(dict))
    """Node → beginning of each of its watches → what that had counted inside the tunnel when it told last."""

    def __post_init__(self) -> None:
        self.heartbeats = Heartbeats(self.nodes, self.clocks, self.longest_pause)

    def answered(self, node: str, asked: float, told: float, received: float) -> None:
        """Learn from an agent's answer what its clock says."""
        with self.lock:
            self.clocks.answered(node, asked, told, received)
            self._offsets = self.clocks.offsets(self.nodes)

    def offsets(self) -> dict[str, Offset]:
        """The offsets as they are known now."""
        with self.lock:
            return dict(self._offsets)

    def ours(self, node: str, at: float) -> float:
        """A time of a node's clock on ours."""
        offset = self._offsets.get(node)
        return at - offset.ahead if offset else at

    def watched(self, node: str, reply: Row) -> None:
        """Take what a node's watch has logged."""
        with self.lock:
            for entry in reply["entries"]:
                self._entry(node, entry)
            if reply["overflow"]:
                self.overflowed[f"entries of the watch on {node} for which it had no room"] = int(reply["overflow"])
            self._begun[node].add(reply["started"])
            if reply["inside"] is not None:
                self._inside[node][reply["started"]] = reply["inside"]
            if "stopped" in reply:
                self._ended[node] = reply["devices"]

    def _entry(self, node: str, entry: Row) -> None:
        kind = entry["kind"]
        if kind == "sighting" and entry["how"] == "quoted":
            self._quote(self._sighting(node, entry))
            return
        if kind == "sighting":
            self.keep("sightings", self.clear, self._sighting(node, entry))
        elif kind == "heartbeat":
            # Its time stays on the node's clock: clocks are compared by it.
            self.heartbeats.add(node, entry, self.ours(node, entry["at"]))
        elif kind == "drops":
            what = f"{entry['drops']} frames dropped and {entry['truncated']} cut off on {entry['device']}"
            first, last = self.ours(node, entry["first"]), self.ours(node, entry["last"])
            self.keep("drops", self.blind, BlindInterval(node=node, first_at=first, last_at=last, why=what))
        elif kind == "inside-gap":
            self.keep("gaps inside the tunnel", self.gaps, self._gap(node, entry))
        elif kind in ("inside-blind", "pods-blind"):
            first, last = self.ours(node, entry["first"]), self.ours(node, entry["last"])
            blind = BlindInterval(node=node, first_at=first, last_at=last, why=entry["what"])
            self.keep("blind intervals", self.inside_blind if kind == "inside-blind" else self.pods_blind, blind)
        elif kind == "pods":
            for row in entry["conversations"]:
                self.keep("conversations of other pods", self.conversations, (node, self._conversation(node, row)))
        elif kind == "kernel":
            at = self.ours(node, entry["at"])
            self.keep_event(kernel_event(node, entry, at - KERNEL_DELAY, at))
        elif kind == "error" and entry["code"] != UNSENT:
            # Which control canaries are missing the watches tell themselves.
            at = self.ours(node, entry["at"])
            self.keep("errors", self.blind, BlindInterval(node=node, first_at=at, last_at=at, why=entry["what"]))

    def _gap(self, node: str, entry: Row) -> Gap:
        return Gap(
            flow=entry["flow"],
            node=node,
            outgoing=entry["outgoing"],
            first_at=self.ours(node, entry["first"]),
            last_at=self.ours(node, entry["last"]),
        )

    def _conversation(self, node: str, row: Sequence[Any]) -> Conversation:
        seen = conversation(row)
        return replace(seen, first_at=self.ours(node, seen.first_at), last_at=self.ours(node, seen.last_at))

    def _sighting(self, node: str, entry: Row) -> Sighting:
        seen = sighting(node, entry)
        return replace(
            seen,
            first_at=self.ours(node, seen.first_at),
            last_at=self.ours(node, seen.last_at),
            evidence=seen.evidence if len(self.clear) < EVIDENCE else (),
        )

    def _quote(self, seen: Sighting) -> None:
        """An ICMP error shows whose packet it is about, and nothing of the flow's traffic: its number says enough."""
        key = (seen.flow, seen.direction, seen.node, seen.device, seen.outgoing)
        known = self.quoted.get(key, replace(seen, frames=0, evidence=()))
        first, last = min(known.first_at, seen.first_at), max(known.last_at, seen.last_at)
        self.quoted[key] = replace(known, frames=known.frames + seen.frames, first_at=first, last_at=last)

    def streamed(self, node: str, reply: Row) -> None:
        """Take what the sender on a node has logged."""
        with self.lock:
            for row in reply["totals"]:
                flow, *counts = row
                self._totals[flow].now = tuple(counts)
                self._open.pop(flow, None)
            for entry in reply["entries"]:
                if entry["kind"] == "outage":
                    self._lost(self._outage(node, entry))
                else:
                    self.keep_count(f"interruptions of the sender on {node} ({entry['what']})")
            for entry in reply["open"]:
                self._open[entry["flow"]] = self._outage(node, entry)
            if reply["overflow"]:
                self.overflowed[f"outages of the sender on {node} for which it had no room"] = int(reply["overflow"])

    def _outage(self, node: str, entry: Row) -> Outage:
        return Outage(
            flow=entry["flow"],
            first_at=self.ours(node, entry["first"]),
            last_at=self.ours(node, entry["last"]),
            lost=entry["lost"],
            error=entry["error"],
        )

    def sender_gone(self, flows: Sequence[int]) -> None:
        """The sender of these flows is gone with its counters; the next one begins at 0."""
        with self.lock:
            for flow in flows:
                known = self._totals[flow]
                known.gone, known.now = known.sum(), (0, 0, 0, 0, 0)
                if (outage := self._open.pop(flow, None)) and outage.lost:
                    self._lost(outage)

    def _lost(self, outage: Outage) -> None:
        kept = self._outages[outage.flow]
        heapq.heappush(kept, (outage.seconds, next(self._outage_numbers), outage))
        if len(kept) > OUTAGES:
            heapq.heappop(kept)

    def happened(self, kind: EventKind, what: str, node: str | None, since: float, at: float) -> None:
        """Keep an event."""
        self.keep_event(Event(kind=kind, what=what, node=node, at=at, since=since))

    def keep_event(self, event: Event) -> None:
        """Keep an event with all that is known of it."""
        self.keep("events", self.events, event)

    def keep(self, kind: str, kept: list[Any], item: Any) -> None:
        """Keep an item, as long as its kind has room."""
        with self.lock:
            if len(kept) < MOST:
                kept.append(item)
            else:
                self.keep_count(f"{kind} for which there was no room")

    def keep_count(self, what: str) -> None:
        """Count something of which nothing can be kept; it makes the whole watch unsound."""
        with self.lock:
            self.overflowed[what] += 1

    def counted(self) -> dict[str, dict[str, DeviceReport]]:
        """Node → device → what its one watch counted from the beginning to the end; other nodes are missing."""
        with self.lock:
            return {node: device_reports(row) for node, row in self._ended.items() if len(self._begun[node]) == 1}

    def inside(self) -> dict[str, dict[tuple[int, bool], Passage]]:
        """Node → what passed inside the tunnel there, in all of its watches together."""
        with self.lock:
            return {node: _together(passages(row) for row in lives.values()) for node, lives in self._inside.items()}

    def totals(self) -> dict[int, FlowTotals]:
        """Every flow's account."""
        with self.lock:
            return {
                flow: FlowTotals(flow=flow, sent=sent, answered=answered, lost=lost, late=late, connections=connections)
                for flow, totals in self._totals.items()
                for sent, answered, lost, late, connections in [totals.sum()]
            }

    def outages(self) -> tuple[Outage, ...]:
        """The longest outages of each flow, those that go on included, in the order of time."""
        with self.lock:
            ended = [outage for kept in self._outages.values() for _, _, outage in kept]
            lasting = [outage for outage in self._open.values() if outage.lost]  # the others may be answered yet
            return tuple(sorted((*ended, *lasting), key=lambda outage: outage.first_at))

    def open_outages(self) -> tuple[Outage, ...]:
        """The flows that are not answered now."""
        with self.lock:
            return tuple(self._open.values())


def _together(lives: Iterable[Mapping[tuple[int, bool], Passage]]) -> dict[tuple[int, bool], Passage]:
    together: dict[tuple[int, bool], Passage] = {}
    for life in lives:
        for key, passage in life.items():
            known = together.get(key)
            together[key] = passage if known is None else known + passage
    return together
