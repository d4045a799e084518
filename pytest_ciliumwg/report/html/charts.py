"""The small matrices, one for each IP family and protocol: which pairs came to what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.report.html.pairs import OUTSIDE, WORST_FIRST, Pair, Table, family, leaks
from pytest_ciliumwg.report.unlisted import pairs_of_each_kind

_NAMED = 4


@dataclass(frozen=True, slots=True)
class Panel:
    """One matrix: all cells of a verdict are one path of unit squares."""

    title: str
    said: str
    size: int
    paths: list[tuple[str, str]]
    """(Verdict, path)."""
    wrong: list[Pair]
    more: int
    """How many pairs are wrong beside those."""


def panels(document: Mapping[str, Any], table: Table) -> list[Panel]:
    """A matrix for each family and protocol of which something is known."""
    worst: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for of, pair, verdict in _verdicts(document):
        cells = worst.setdefault(of, {})
        cells[pair] = min(verdict, cells.get(pair, "encrypted"), key=WORST_FIRST.index)
    for kind, protocol, row in pairs_of_each_kind(document):
        worst.setdefault((kind, protocol), {}).setdefault((row["source"], row["destination"]), row["verdict"])
    return [_panel(f"{protocol.upper()} IP{kind}", worst[kind, protocol], table) for kind, protocol in sorted(worst)]


def _verdicts(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[str, str], str]]:
    """(Family and protocol, pair, verdict) of the flows that the matrix counts, and of leaks during changes."""
    tested = {(pair["source"], pair["destination"]) for pair in document["pairs"]}
    for flow in document["flows"]:
        if (flow["source_node"], flow["destination_node"]) not in tested:
            continue
        if flow["promised"] and (flow["purpose"] != "size" or flow["verdict"] in OUTSIDE):
            yield _kind(flow), (flow["source_node"], flow["destination_node"]), flow["verdict"]
    for change in document["changes"]:
        for _, flow in leaks(change):
            yield _kind(flow), (flow["source_node"], flow["destination_node"]), "cleartext"


def _kind(flow: Mapping[str, Any]) -> tuple[str, str]:
    return family(flow), flow["protocol"]


def _panel(title: str, cells: Mapping[tuple[str, str], str], table: Table) -> Panel:
    numbers = {node: number for number, node in enumerate(table.nodes)}
    parts: dict[str, list[str]] = {}
    for (source, destination), verdict in cells.items():
        if source in numbers and destination in numbers:
            parts.setdefault(verdict, []).append(f"M{numbers[destination]} {numbers[source]}h.9v.9h-.9z")
    counted = Counter(cells.values())
    told = ", ".join(f"{counted[word]} {word}" for word in WORST_FIRST if counted[word])
    wrong = [table.pairs[pair] for pair, verdict in cells.items() if verdict != "encrypted" and pair in table.pairs]
    paths = [(verdict, "".join(path)) for verdict, path in parts.items()]
    return Panel(title, f"pairs: {told}", len(table.nodes), paths, wrong[:_NAMED], len(wrong[_NAMED:]))
