"""Findings and checks, as the page tells them, and the links between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pytest_ciliumwg.report.html.pairs import Pair, Table

Row = Mapping[str, Any]
_WORST_FIRST = ("fail", "inconclusive", "skip", "pass")
_MOST = 20
"""Places of a check, and lines of a finding; the rest is in report.json."""


class Checks:
    """All checks of a report, with their anchors."""

    def __init__(self, document: Row) -> None:
        self._rows = document["checks"]
        self._anchors: dict[tuple[str, str], str] = {}
        for number, row in enumerate(self._rows, 1):
            stage = row["params"].get("stage", "")
            plain = "-".join(value for name, value in row["params"].items() if name != "stage")
            for title in (row["title"], f"{row['id']}[{plain}]" if plain else row["id"]):
                self._anchors.setdefault((title, stage), f"check-{number}")
                self._anchors.setdefault((title, ""), f"check-{number}")

    def link(self, title: str, stage: str) -> tuple[str, str]:
        """(Title, anchor) of a check; the anchor is empty for one that is not in the report."""
        return title, self._anchors.get((title, stage)) or self._anchors.get((title, ""), "")

    def areas(self) -> list[dict[str, Any]]:
        """The checks by area, an area with what is wrong first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for number, row in enumerate(self._rows, 1):
            found.setdefault(row["id"].partition(".")[0], []).append(_check(row, f"check-{number}"))
        areas = [_area(name, rows) for name, rows in found.items()]
        return sorted(areas, key=lambda area: _WORST_FIRST.index(area["worst"]))


def _area(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    counted = Counter(row["outcome"] for row in rows)
    return {
        "name": name,
        "rows": sorted(rows, key=lambda row: _WORST_FIRST.index(row["outcome"])),
        "worst": next(word for word in _WORST_FIRST if counted[word]),
        "told": ", ".join(f"{counted[word]} {word}" for word in _WORST_FIRST if counted[word]),
    }


def _check(row: Row, anchor: str) -> dict[str, Any]:
    remarks = [*row["unmeasured"], *row["unsupported"], *row["notes"]]
    said = row["message"].strip() if not row["findings"] and not remarks else ""
    return {
        **row,
        "anchor": anchor,
        "shown": row["findings"][:_MOST],
        "more": len(row["findings"][_MOST:]) + len(remarks[_MOST:]),
        "remarks": remarks[:_MOST],
        "said": said.rpartition("\n")[2],
    }


def finding(row: Row, checks: Checks, table: Table) -> dict[str, Any]:
    """One finding, with the pairs and checks that it leads to."""
    return {
        **row,
        "pairs": [(line, _pair_of(line, table)) for line in row["traffic"][:_MOST]],
        "state": row["state"][:_MOST],
        "more": len(row["traffic"][_MOST:]) + len(row["state"][_MOST:]),
        "follow": [
            (word, [checks.link(title, row["stage"]) for title in row[key]])
            for word, key in (("Failed", "failed"), ("Not measured", "inconclusive"))
            if row[key]
        ],
    }


def _pair_of(line: str, table: Table) -> Pair | None:
    """The pair that a line about traffic begins with."""
    source, _, destination = line.partition(": ")[0].partition(" → ")
    return table.cell(source, destination)
