"""The self-test's results for readers: a line as each run ends, the matrix, selftest.json and selftest.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ciliumwg import __version__
from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.selftest.runs import Ran
from pytest_ciliumwg.selftest.verdict import Result

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Summary:
    """All runs of a self-test."""

    ran: tuple[Ran, ...]
    seconds: float

    @property
    def good(self) -> bool:
        """Whether every fault was caught by its check, nothing else was blamed, and the healthy labs are clean."""
        return all(one.outcome.good for one in self.ran)

    @property
    def versions(self) -> list[str]:
        """The versions, in the order in which they were asked for."""
        return list(dict.fromkeys(one.run.version for one in sorted(self.ran, key=lambda one: one.run.version)))

    def faults(self, version: str) -> list[Ran]:
        """The runs with a fault of one version, by name."""
        return sorted(
            (one for one in self.ran if one.run.version == version and one.run.declared), key=lambda one: one.run.name
        )

    def healthy(self, version: str) -> list[Ran]:
        """The runs without a fault of one version."""
        return [one for one in self.ran if one.run.version == version and not one.run.declared]

    def verdict(self) -> str:
        """All in one sentence."""
        faults = [one for one in self.ran if one.run.declared]
        caught = sum(one.outcome.result is Result.CAUGHT for one in faults)
        wrong = sum(bool(one.outcome.wrong) for one in faults)
        clean = sum(one.outcome.good for one in self.ran if not one.run.declared)
        return (
            f"{caught} of {len(faults)} faults caught by the check that has to catch them, {wrong} wrong blames, "
            f"{clean} of {len(self.ran) - len(faults)} healthy labs clean, {self.seconds:.0f} s"
        )


def line(one: Ran) -> str:
    """One run in a line."""
    outcome = one.outcome
    by = f" by {', '.join(outcome.caught_by)}" if outcome.caught_by else ""
    word = ("clean" if outcome.good else "NOT CLEAN") if one.run.declared is None else outcome.word + by
    return f"{one.run.version:8} {one.run.name:26} {word}  ({one.seconds:.1f} s)"


def problems(one: Ran) -> Iterator[str]:
    """What is not as it has to be, a line each."""
    outcome, run = one.outcome, one.run
    if outcome.result is Result.BROKEN:
        yield f"no report: {outcome.reason}"
    elif run.declared and outcome.result is not Result.CAUGHT:
        found = ", ".join((*outcome.also_failed, *outcome.inconclusive)) or "nothing"
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
    """Everything, as data."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "pytest-ciliumwg", "version": __version__},
        "good": summary.good,
        "verdict": summary.verdict(),
        "seconds": round(summary.seconds, 1),
        "runs": [
            {
                "version": one.run.version,
                "fault": one.run.name if one.run.declared else None,
                "catcher": one.run.declared.catcher if one.run.declared else None,
                "result": one.outcome.result.value
                if one.run.declared
                else ("clean" if one.outcome.good else "not clean"),
                "caught_by": list(one.outcome.caught_by),
                "also_failed": list(one.outcome.also_failed),
                "inconclusive": list(one.outcome.inconclusive),
                "wrong_blame": list(one.outcome.wrong),
                "clear_flows": one.outcome.clear_flows,
                "reason": one.outcome.reason,
                "seconds": round(one.seconds, 1),
            }
            for one in sorted(summary.ran, key=lambda one: (one.run.version, one.run.name))
        ],
    }


def markdown(summary: Summary) -> str:
    """The matrix as a page."""
    lines = ["# The suite, proven by faults", "", summary.verdict() + ".", ""]
    for version in summary.versions:
        healthy = ", ".join("clean" if one.outcome.good else "NOT CLEAN" for one in summary.healthy(version))
        lines += [
            f"## Cilium {version}",
            "",
            f"Healthy lab: {healthy or 'not run'}.",
            "",
            "| fault | caught by | also failed | inconclusive | wrong blame |",
            "|---|---|---|---|---|",
        ]
        for one in summary.faults(version):
            outcome = one.outcome
            caught = _list(outcome.caught_by) if outcome.caught_by else f"**{outcome.result.value}**"
            wrong = f"{len(outcome.wrong)}" if outcome.wrong else ""
            lines.append(
                f"| {one.run.name} | {caught} | {_list(_ids(outcome.also_failed))} "
                f"| {_list(_ids(outcome.inconclusive))} | {wrong} |"
            )
        lines.append("")
    return "\n".join(lines)


def _ids(titles: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(title.partition("[")[0] for title in titles))


def _list(titles: Sequence[str]) -> str:
    return ", ".join(titles)
