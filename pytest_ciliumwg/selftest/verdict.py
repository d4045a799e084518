"""What a run with a fault says of the suite. Pure: a fault's declaration and a report, nothing else."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.faults.catalogue import Consequence, Doubt, Names

Report = Mapping[str, Any]
MOST_LINES = ((3, 40), (32, 60))
"""(Up to so many nodes, the most lines of 80 columns that a run with one cause may write)."""


class Result(enum.Enum):
    """How the suite did with one fault."""

    CAUGHT = "caught"
    MISSED = "missed"
    """The check that has to catch it passed, was skipped or was not there."""
    INCONCLUSIVE = "inconclusive"
    """The check that has to catch it could not be measured."""
    BROKEN = "broken"
    """The run gave no report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a fault, injected at certain nodes of a certain lab, has to bring about."""

    catcher: str
    """The title of the check that has to fail, or its id for any of its tests."""
    check_id: str
    """The id of that check."""
    also: tuple[Consequence, ...]
    leaks: bool
    names: Names
    suspects: tuple[tuple[frozenset[str], ...], ...]
    """Groups of nodes, one of which a finding has to name as a whole; a node is known by its name and addresses."""
    nodes: tuple[tuple[str, ...], ...]
    """The same groups by the nodes' own names, as flows have them."""


@dataclass(frozen=True, slots=True)
class Blame:
    """One finding, from a report: the place in words, and the nodes and addresses that it names."""

    where: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One test of a check, from a report."""

    title: str
    id: str
    outcome: str
    findings: Sequence[Blame]

    @property
    def doubts_itself(self) -> bool:
        """Whether it found a fault of the measurement: then it is inconclusive, and says where."""
        return self.outcome == "inconclusive" and bool(self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run's verdict."""

    result: Result
    caught_by: tuple[str, ...] = ()
    """Tests of the catcher that failed."""
    also_failed: tuple[Row, ...] = ()
    """Tests of other checks that failed."""
    inconclusive: tuple[Row, ...] = ()
    wrong: tuple[str, ...] = ()
    """Wrong blames, a sentence each."""
    clear_flows: int = 0
    disturbed: bool = False
    """Whether the measurement itself went wrong, which was not declared: the machine had too much else to do."""
    reason: str = ""
    """Why the run is broken."""

    @property
    def good(self) -> bool:
        """Whether the suite did what was declared, and blamed nothing else."""
        return self.result is Result.CAUGHT and not self.wrong

    @property
    def word(self) -> str:
        """The outcome in a word or two."""
        return f"{self.result.value}, wrong blame" if self.wrong else self.result.value


def judge(declared: Declared, report: Report, without: Collection[str] = (), lines: int = 0) -> Outcome:
    """What a run says of the suite.

    Args:
        declared: What the fault had to bring about.
        report: The run's report.json.
        without: Ids of checks to leave out, as if the suite did not have them.
        lines: What the run wrote to a terminal.

    Raises:
        CiliumwgError: the report is none of ours.
    """
    rows = [row for row in _rows(report) if row.id not in without]
    bad = [row for row in rows if row.outcome in ("fail", "inconclusive")]
    catchers = [row for row in rows if declared.catcher in (row.id, row.title)]
    caught = tuple(row.title for row in catchers if row.outcome == "fail" or row.doubts_itself)
    flows = [flow for flow in _promised(report) if flow["verdict"] != "encrypted"]
    if caught:
        result = Result.CAUGHT
    else:
        doubtful = any(row.outcome == "inconclusive" for row in catchers)
        result = Result.INCONCLUSIVE if doubtful else Result.MISSED
    return Outcome(
        result=result,
        caught_by=caught,
        also_failed=tuple(row for row in bad if row.outcome == "fail" and row.title not in caught),
        inconclusive=tuple(row for row in bad if row.outcome == "inconclusive"),
        wrong=(
            *_wrong_rows(declared, bad),
            *_wrong_flows(declared, flows),
            *(() if without else _wrong_finding(declared, report)),
            *_too_long(report, lines),
        ),
        clear_flows=sum(flow["verdict"] == "cleartext" for flow in flows),
        disturbed=any(row.doubts_itself and row not in catchers and not _may(declared, row) for row in bad),
    )


def judge_healthy(report: Report) -> Outcome:
    """What a run without a fault says of the suite: every finding is a wrong blame.

    Raises:
        CiliumwgError: the report is none of ours.
    """
    rows = _rows(report)
    wrong = [f"{row.title} came to {row.outcome}" for row in rows if row.outcome in ("fail", "inconclusive")]
    wrong += [f"flow {flow['id']} is {flow['verdict']}" for flow in _promised(report) if flow["verdict"] != "encrypted"]
    if not rows:
        wrong.append("no check ran")
    return Outcome(result=Result.CAUGHT, wrong=tuple(wrong), disturbed=any(row.doubts_itself for row in rows))


def _promised(report: Report) -> list[Mapping[str, Any]]:
    """The flows that have to be encrypted; of the others nothing is asserted."""
    return [
        flow
        for flow in report["flows"]
        if flow.get("promised", True) and not (flow.get("dropped_by_design") and flow["verdict"] == "unreachable")
    ]


def broken(reason: str) -> Outcome:
    """A run that gave no report."""
    return Outcome(result=Result.BROKEN, reason=reason)


def _rows(report: Report) -> list[Row]:
    try:
        return [
            Row(row["title"], row["id"], row["outcome"], [_blame(finding) for finding in row["findings"]])
            for row in report["checks"]
        ]
    except (KeyError, TypeError) as error:
        raise CiliumwgError(f"a report of the self-test cannot be read: {error!r} is missing") from error


def _blame(finding: Mapping[str, Any]) -> Blame:
    place = finding["place"]
    return Blame(finding["where"], frozenset([*place["nodes"], *place["addresses"]]))


def _wrong_rows(declared: Declared, bad: Sequence[Row]) -> Iterator[str]:
    for row in bad:
        is_catcher = declared.catcher in (row.id, row.title)
        # Other parameters of the catcher are its own affair: what fails for one family may fail for the other.
        if not is_catcher and not _may(declared, row):
            yield f"{row.title} {row.outcome}: it has nothing to do with the fault"
            continue
        for blame in row.findings:
            if not _is_right(declared, blame):
                yield f"{row.title} blames `{blame.where}`, which is not where the fault is"


def _may(declared: Declared, row: Row) -> bool:
    """Whether a check may be so in consequence of the fault."""
    patterns = [pattern for pattern in declared.also if isinstance(pattern, str)]
    if row.outcome == "inconclusive":
        patterns += [doubt.pattern for doubt in declared.also if isinstance(doubt, Doubt)]
    return any(fnmatchcase(row.id, pattern) for pattern in (*patterns, declared.check_id))


def _wrong_flows(declared: Declared, flows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for flow in flows:
        where = f"{flow['protocol']} {flow['source_node']} → {flow['destination_node']}"
        if flow["verdict"] == "cleartext" and not declared.leaks:
            yield f"the flow {where} is called cleartext, though nothing left in cleartext"
        ends = {flow["source_node"], flow["destination_node"]}
        if declared.names != "cluster" and not any(ends >= set(nodes) for nodes in declared.nodes):
            yield f"the flow {where} is called {flow['verdict']}, though the fault is not there"


def _wrong_finding(declared: Declared, report: Report) -> Iterator[str]:
    """What is wrong with a run's first finding: it has to name the fault's nodes, and the check that catches it."""
    if not report["findings"]:
        return
    first, *others = report["findings"]
    if declared.names != "cluster" and not any(set(nodes) & set(first["named"]) for nodes in declared.nodes):
        yield f"the first finding, `{first['headline']}`, names no node of the fault"
    # What is wrong with the measurement comes after all that is wrong with the cluster.
    where = [first, *others] if declared.check_id.startswith("capture.") else [first]
    titles = [title for finding in where for title in (*finding["failed"], *finding["inconclusive"])]
    if declared.check_id not in {title.partition("[")[0] for title in titles}:
        yield f"the first finding, `{first['headline']}`, is not that of {declared.check_id}"


def _too_long(report: Report, lines: int) -> Iterator[str]:
    """That one cause fills more of a terminal than can be taken in at once."""
    nodes = len(report["cluster"]["nodes"]) if lines else 0
    most = next((most for up_to, most in MOST_LINES if nodes <= up_to), lines)
    if len(report["findings"]) == 1 and lines > most:
        yield f"one cause takes {lines} lines of a terminal, and may take {most} at {nodes} nodes"


def _is_right(declared: Declared, blame: Blame) -> bool:
    """Whether a finding names all nodes that it has to, for any of the faulty nodes."""
    if declared.names == "cluster":
        return True
    return any(all(known_as & blame.names for known_as in group) for group in declared.suspects)
