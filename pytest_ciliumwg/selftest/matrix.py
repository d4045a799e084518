"""The self-test's results for readers: a line as each run ends, the matrix, selftest.json and selftest.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ciliumwg import __version__
from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.selftest.runs import Ran
from pytest_ciliumwg.selftest.verdict import Result, Row

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Summary:
    """All runs of a self-test."""

    ran: tuple[Ran, ...]
    seconds: float

    @property
    def good(self) -> bool:
        """Whether every fault was caught by its check, nothing else was blamed, and the healthy labs are clean."""
        return all(ran.outcome.good for ran in self.ran)

    @property
    def versions(self) -> list[str]:
        """The versions, in the order in which they were asked for."""
        return list(dict.fromkeys(ran.run.version for ran in sorted(self.ran, key=lambda ran: ran.run.version)))

    def faults(self, version: str) -> list[Ran]:
        """The runs with a fault of one version, by name."""
        return sorted(
            (ran for ran in self.ran if ran.run.version == version and ran.run.declared), key=lambda ran: ran.run.name
        )

    def healthy(self, version: str) -> list[Ran]:
        """The runs without a fault of one version."""
        return [ran for ran in self.ran if ran.run.version == version and not ran.run.declared]

    def verdict(self) -> str:
        """The result in one sentence."""
        faults = [ran for ran in self.ran if ran.run.declared]
        caught = sum(ran.outcome.result is Result.CAUGHT for ran in faults)
        wrong = sum(bool(ran.outcome.wrong) for ran in faults)
        clean = sum(ran.outcome.good for ran in self.ran if not ran.run.declared)
        return (
            f"{caught} of {len(faults)} faults caught by the check that has to catch them, {wrong} wrong blames, "
            f"{clean} of {len(self.ran) - len(faults)} healthy labs clean, {self.seconds:.0f} s"
        )


def line(ran: Ran) -> str:
    """One run in a line."""
    outcome = ran.outcome
    by = f" by {', '.join(outcome.caught_by)}" if outcome.caught_by else ""
    word = ("clean" if outcome.good else "NOT CLEAN") if ran.run.declared is None else outcome.word + by
    again = ", run again: the machine had too much else to do" if ran.again else ""
    return f"{ran.run.version:8} {ran.run.name:26} {word}  ({ran.seconds:.1f} s{again})"


def problems(ran: Ran) -> Iterator[str]:
    """What is not as it has to be, a line each."""
    outcome, run = ran.outcome, ran.run
    if outcome.result is Result.BROKEN:
        yield f"no report: {outcome.reason}"
    elif run.declared and outcome.result is not Result.CAUGHT:
        found = ", ".join(row.title for row in (*outcome.also_failed, *outcome.inconclusive)) or "nothing"
        yield f"{outcome.result.value}: {run.declared.catcher} did not fail; what did, or was inconclusive: {found}"
    yield from outcome.wrong


def write(summary: Summary, directory: Path) -> tuple[Path, Path]:
    """Write selftest.json and selftest.md.

    Raises:
        CiliumwgError: the directory cannot be written.
    """
    paths = directory / "selftest.json", directory / "selftest.md"
    try:
        paths[0].write_text(json.dumps(document(summary), indent=1) + "\n", encoding="utf-8")
        paths[1].write_text(markdown(summary), encoding="utf-8")
    except OSError as error:
        raise CiliumwgError(f"the matrix could not be written to {directory}: {error.strerror}") from error
    return paths


def document(summary: Summary) -> dict[str, Any]:
    """The whole self-test as JSON has it."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "pytest-ciliumwg", "version": __version__},
        "good": summary.good,
        "verdict": summary.verdict(),
        "seconds": round(summary.seconds, 1),
        "runs": [
            {
                "version": ran.run.version,
                "fault": ran.run.name if ran.run.declared else None,
                "catcher": ran.run.declared.catcher if ran.run.declared else None,
                "result": ran.outcome.result.value
                if ran.run.declared
                else ("clean" if ran.outcome.good else "not clean"),
                "caught_by": list(ran.outcome.caught_by),
                "also_failed": [row.title for row in ran.outcome.also_failed],
                "inconclusive": [row.title for row in ran.outcome.inconclusive],
                "wrong_blame": list(ran.outcome.wrong),
                "clear_flows": ran.outcome.clear_flows,
                "reason": ran.outcome.reason,
                "seconds": round(ran.seconds, 1),
                "lines": ran.lines,
                "again": ran.again,
            }
            for ran in sorted(summary.ran, key=lambda ran: (ran.run.version, ran.run.name))
        ],
    }


def markdown(summary: Summary) -> str:
    """The matrix as a page."""
    lines = ["# The suite, proven by faults", "", summary.verdict() + ".", ""]
    for version in summary.versions:
        healthy = ", ".join("clean" if ran.outcome.good else "NOT CLEAN" for ran in summary.healthy(version))
        lines += [
            f"## Cilium {version}",
            "",
            f"Healthy lab: {healthy or 'not run'}.",
            "",
            "| fault | caught by | also failed | inconclusive | wrong blame |",
            "|---|---|---|---|---|",
        ]
        for ran in summary.faults(version):
            outcome = ran.outcome
            caught = _list(outcome.caught_by) if outcome.caught_by else f"**{outcome.result.value}**"
            wrong = f"{len(outcome.wrong)}" if outcome.wrong else ""
            lines.append(
                f"| {ran.run.name} | {caught} | {_list(_ids(outcome.also_failed))} "
                f"| {_list(_ids(outcome.inconclusive))} | {wrong} |"
            )
        lines.append("")
    return "\n".join(lines)


def _ids(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.id for row in rows))


def _list(titles: Sequence[str]) -> str:
    return ", ".join(titles)
