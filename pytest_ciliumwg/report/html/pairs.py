"""The directed pairs of nodes: their verdicts, their flows, and where each is told on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
UNTESTED = "not-tested"
"""The verdict of a pair that a sample left out, though flows on other paths ran between its nodes."""
WORST_FIRST = ("cleartext", "bypass", "unreachable", "inconclusive", UNTESTED, "encrypted")
WORDS = {
    "encrypted": "ok",
    "cleartext": "CLEAR",
    "bypass": "BYPASS",
    "unreachable": "lost",
    "inconclusive": "?",
    UNTESTED: "-",
}
SYMBOLS = {"encrypted": "·", "cleartext": "C", "bypass": "B", "unreachable": "x", "inconclusive": "?", UNTESTED: "-"}
OUTSIDE = ("cleartext", "bypass")
_MOST_IN_WORDS = 16
_MOST_FLOWS, _MOST_SECTIONS, _MOST_OF_SECTION = 3000, 300, 60
_SAID = 6


@dataclass(slots=True)
class Pair:
    """One directed pair of nodes."""

    source: str
    destination: str
    anchor: str
    verdict: str
    flows: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    """The flows of the reverse pair whose answers, which this pair's source sends, were in cleartext."""
    leaks: list[dict[str, Any]] = field(default_factory=list)
    """What was in cleartext during changes."""
    tunnels: list[Row] = field(default_factory=list)
    shown: int = 0
    """How many of its flows have a row of their own; none: the pair has one row in all."""

    @property
    def title(self) -> str:
        """Who sends to whom."""
        return f"{self.source} → {self.destination}"

    @property
    def counts(self) -> str:
        """How many flows came to which verdict."""
        counted = Counter(flow["verdict"] for flow in self.flows)
        return ", ".join(f"{counted[word]} {word}" for word in WORST_FIRST if counted[word])

    @property
    def frames(self) -> list[str]:
        """The anchors of the frames that are evidence of its leaks."""
        kept = (seen["frames_kept"] for flow in (*self.flows, *self.answers) for seen in flow["sightings"])
        return [*(anchor for anchors in kept for anchor in anchors), *(a for leak in self.leaks for a in leak["kept"])]

    @property
    def answers_alone(self) -> bool:
        """Whether only answers of its flows were in cleartext: then it is the other node that leaks."""
        seen = [*(one for flow in self.flows for one in flow["sightings"]), *self.leaks]
        return self.verdict == "cleartext" and {one["direction"] for one in seen} == {"reply"}

    @property
    def worst(self) -> Iterator[str]:
        """What became of its worst flows, in words."""
        for flow in [flow for flow in self.flows if flow["verdict"] != "encrypted"][:_SAID]:
            yield f"{traffic(flow)}: {flow['reason']}"
        yield from (leak["told"] for leak in self.leaks[:_SAID])


@dataclass(slots=True)
class Table:
    """All pairs, by their names."""

    nodes: list[str]
    pairs: dict[tuple[str, str], Pair]

    @property
    def in_words(self) -> bool:
        """Whether the cells of the matrix have room for words, and every one is a link."""
        return len(self.nodes) <= _MOST_IN_WORDS

    def cell(self, source: str, destination: str) -> Pair | None:
        """The pair of a cell, if anything is known of it."""
        return self.pairs.get((source, destination))

    def symbol(self, pair: Pair) -> str:
        """Its verdict, as short as the matrix needs."""
        if pair.answers_alone:
            return "reply" if self.in_words else "r"
        return (WORDS if self.in_words else SYMBOLS)[pair.verdict]

    @property
    def untested(self) -> int:
        """How many directed pairs are not tested."""
        count = len(self.nodes) * (len(self.nodes) - 1)
        return count - sum(pair.verdict != UNTESTED for pair in self.pairs.values())

    @property
    def detailed(self) -> list[Pair]:
        """The pairs that are told flow by flow, the worst first."""
        return [pair for pair in self._ordered() if pair.shown]

    @property
    def brief(self) -> list[Pair]:
        """The others."""
        return [pair for pair in self._ordered() if not pair.shown]

    def _ordered(self) -> list[Pair]:
        return sorted(self.pairs.values(), key=lambda pair: WORST_FIRST.index(pair.verdict))

    def choose(self) -> None:
        """Choose what is told flow by flow: all in a small run, else what is wrong, within bounds."""
        small = sum(len(pair.flows) for pair in self.pairs.values()) <= _MOST_FLOWS
        chosen = [pair for pair in self._ordered() if pair.flows and (small or pair.verdict != "encrypted")]
        left = _MOST_FLOWS
        for pair in chosen[:_MOST_SECTIONS]:
            pair.shown = min(len(pair.flows), len(pair.flows) if small else _MOST_OF_SECTION, left)
            left -= pair.shown


def table(document: Row) -> Table:
    """The pairs of a report."""
    nodes = document["cluster"]["nodes"]
    numbers = {node: number for number, node in enumerate(nodes, 1)}
    made = Table(nodes, {})

    def of(source: str, destination: str) -> Pair:
        anchor = f"pair-{numbers.get(source, source)}-{numbers.get(destination, destination)}"
        return made.pairs.setdefault((source, destination), Pair(source, destination, anchor, UNTESTED))

    for row in document["pairs"]:
        of(row["source"], row["destination"]).verdict = row["verdict"]
    kept = _kept(document["evidence"])
    for flow in document["flows"]:
        if flow["promised"]:
            told = _flow(flow, kept)
            of(flow["source_node"], flow["destination_node"]).flows.append(told)
            if any(seen["direction"] == "reply" for seen in told["sightings"]):
                of(flow["destination_node"], flow["source_node"]).answers.append(told)
    for change in document["changes"]:
        for leak, flow in leaks(change):
            anchors = kept.get((change["name"], *_key(leak)), [])
            of(flow["source_node"], flow["destination_node"]).leaks.append({**leak, "kept": anchors})
    for row in document["tunnels"]:
        if pair := made.pairs.get((row["source"], row["destination"])):
            pair.tunnels.append(row)
    for pair in made.pairs.values():
        pair.flows.sort(key=lambda flow: WORST_FIRST.index(flow["verdict"]))
    made.choose()
    return made


def _key(seen: Row) -> tuple[object, ...]:
    return seen["flow"], seen["direction"], seen["node"], seen["device"], seen["outgoing"]


def _kept(evidence: Iterable[Row]) -> dict[tuple[object, ...], list[str]]:
    """Stage or change, flow, direction and place → the anchors of its frames that are on the page."""
    found: dict[tuple[object, ...], list[str]] = {}
    for number, file in enumerate(evidence, 1):
        for frame in file["frames"]:
            if "summary" in frame:
                key = (
                    frame["stage"] or frame["change"],
                    *_key({**frame, "node": file["node"], "device": file["device"]}),
                )
                found.setdefault(key, []).append(f"frame-{number}-{frame['number']}")
    return found


def _flow(flow: Row, kept: Mapping[tuple[object, ...], list[str]]) -> dict[str, Any]:
    seen = [{**one, "frames_kept": kept.get((flow["stage"], *_key(one)), [])} for one in flow["sightings"]]
    return {**flow, "sightings": seen, "traffic": traffic(flow)}


def family(flow: Row) -> str:
    """The IP family of a flow."""
    return "v6" if ":" in flow["source"] else "v4"


def traffic(flow: Row) -> str:
    """What kind of traffic a flow is."""
    size = f", {flow['payload_size']} bytes{' with DF' if flow['dont_fragment'] else ''}"
    return f"{flow['protocol'].upper()} {family(flow)} {flow['purpose']}{size if flow['purpose'] == 'size' else ''}"


def leaks(change: Row) -> Iterator[tuple[Row, Row]]:
    """(Leak, its flow) of what was in cleartext during a change."""
    timeline = change["timeline"]
    flows = {flow["id"]: flow for flow in timeline["flows"]} if timeline else {}
    for leak in timeline["leaks"] if timeline else ():
        if leak["flow"] in flows:
            yield leak, flows[leak["flow"]]


def by_design(document: Row) -> Iterator[tuple[str, str]]:
    """(Path, what was seen of it) of what is not promised to be encrypted."""
    seen: dict[str, Counter[str]] = {}
    for flow in document["flows"]:
        if not flow["promised"]:
            seen.setdefault(flow["path"], Counter())[flow["verdict"]] += 1
    for path, words in seen.items():
        yield path, ", ".join(f"{count} {word}" for word, count in words.items())
