"""What a bench found out, as a table in Markdown and as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured, in all rounds."""

    what: str
    values: Sequence[float]
    unit: str
    note: str = ""

    @property
    def median(self) -> float:
        """The middle of all rounds."""
        return statistics.median(self.values)


@dataclass(slots=True)
class Result:
    """All that one bench measured."""

    bench: str
    rows: list[Row] = field(default_factory=list)

    def markdown(self) -> str:
        """A table."""
        lines = [f"### {self.bench}", "", "| measured | median | least to most | rounds | |", "|---|---|---|---|---|"]
        for row in self.rows:
            span = f"{min(row.values):.4g} to {max(row.values):.4g}"
            lines.append(f"| {row.what} | {row.median:.4g} {row.unit} | {span} | {len(row.values)} | {row.note} |")
        return "\n".join(lines)

    def save(self, directory: Path) -> None:
        """Write `BENCH.json`, with what it was measured on."""
        machine = {"python": platform.python_version(), "kernel": platform.release(), "processors": os.cpu_count()}
        document = {"bench": self.bench, "machine": machine, "rows": [asdict(row) for row in self.rows]}
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{self.bench}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def interleaved(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure all in each round, so that what else the machine does strikes all alike."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            values[name].append(measure())
    return values


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """How a cost grows with a size: the slope of the straight line through their logarithms."""
    slope, _ = statistics.linear_regression(list(map(math.log, sizes)), list(map(math.log, costs)))
    return slope
