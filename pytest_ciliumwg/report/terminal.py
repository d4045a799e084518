"""The summary on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pytest_ciliumwg.diagnosis.diagnosis import Diagnosis
from pytest_ciliumwg.model.traffic import Flow, Verdict
from pytest_ciliumwg.report import changes
from pytest_ciliumwg.report.findings import lines
from pytest_ciliumwg.report.matrix import rows
from pytest_ciliumwg.report.outcome import RunOutcome
from pytest_ciliumwg.report.record import RunRecord
from pytest_ciliumwg.verdict.judge import Judgement

_COLOURS = {
    RunOutcome.CONFORMANT: "green",
    RunOutcome.PARTIAL: "yellow",
    RunOutcome.NOT_CONFORMANT: "red",
    RunOutcome.INCONCLUSIVE: "yellow",
}
_WIDEST = 120
_BY_DESIGN = "dropped by design"


def summarize(writer: Any, record: RunRecord, found: Sequence[Diagnosis], width: int) -> None:
    """Write the findings, the matrix and what is told beside them; the verdict comes last of all (see `verdict`)."""
    if found:
        writer.section("findings", sep="=", red=True)
    for number, finding in enumerate(found, 1):
        for line in lines(finding, number, min(width, _WIDEST)):
            writer.line(line)
    writer.section("Cilium WireGuard conformance", sep="=")
    for change in record.touched:
        was = f"lost {', '.join(change.lost)}" if change.lost else ""
        now = f"got {', '.join(change.new)}" if change.new else ""
        told = f"{change.node} {' and '.join(filter(None, (was, now)))}"
        writer.line(f"changed while our pods came into the cluster: {told}", yellow=True)
    _matrix(writer, record)
    _flows(writer, record)
    _sizes(writer, record)
    _by_design(writer, record)
    for line in _notes(record, min(width, _WIDEST)):
        writer.line(line, yellow=True)
    for line, fine in changes.lines(record):
        writer.line(line, green=fine, red=not fine)


def verdict(writer: Any, record: RunRecord) -> None:
    """Write the run in one sentence."""
    tally = record.tally()
    writer.line(tally.line(), **{_COLOURS[tally.outcome]: True})


def _notes(record: RunRecord, width: int) -> Iterator[str]:
    """What the outcome does not depend on: the first note of each check, cut to two lines, and how many more."""
    notes: dict[str, list[str]] = {}
    for result in record.results:
        notes.setdefault(result.id, []).extend(map(str, result.notes))
    for check, told in notes.items():
        if told:
            more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
            yield f"{_shortened(f'{check}: {told[0]}', 2 * width - len(more))}{more}"


def _shortened(text: str, most: int) -> str:
    """A text of not more than so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _flows(writer: Any, record: RunRecord) -> None:
    """Write what became of the flows; how many checks came to what is in the lines that follow."""
    if judged := record.promised():
        writer.line(f"flows: {_counted(judged)}")


def _sizes(writer: Any, record: RunRecord) -> None:
    """Write which sizes are not delivered between nodes of which nothing else is wrong."""
    judged = [judgement for judgement in record.promised() if judgement.flow.purpose == "size"]
    lost = [judgement.flow for judgement in judged if judgement.verdict is Verdict.UNREACHABLE]
    matrix = record.matrix()
    alone = [flow for flow in lost if not flow.dropped_by_design and matrix.get(flow.pair) is Verdict.ENCRYPTED]
    if alone:
        writer.line(f"sizes not delivered: {_which(alone)}", red=True)


def _counted(judged: Iterable[Judgement]) -> str:
    counts = Counter(
        _BY_DESIGN
        if judgement.flow.dropped_by_design and judgement.verdict is Verdict.UNREACHABLE
        else judgement.verdict.value
        for judgement in judged
    )
    words = (*(verdict.value for verdict in Verdict), _BY_DESIGN)
    return ", ".join(f"{counts[word]} {word}" for word in words if counts[word])


def _which(flows: Iterable[Flow]) -> str:
    sizes: dict[str, set[int]] = {}
    for flow in flows:
        sizes.setdefault(f"{flow.protocol.value} {flow.family.value}", set()).add(flow.payload_size)
    return "; ".join(f"{kind}: {', '.join(map(str, sorted(found)))} bytes" for kind, found in sizes.items())


def _by_design(writer: Any, record: RunRecord) -> None:
    """Write the verdicts of the paths that are not promised to be encrypted, a line for each verdict."""
    seen: dict[str, Counter[str]] = {}
    for judgement in record.judgements():
        if not judgement.flow.promised:
            seen.setdefault(judgement.verdict.value, Counter())[judgement.flow.path] += 1
    for word, paths in seen.items():
        told = ", ".join(f"{count} {path}" for path, count in paths.items())
        how = "by design in cleartext" if word == Verdict.CLEARTEXT.value else f"not promised to be encrypted, {word}"
        writer.line(f"{how}: {told}")


def _matrix(writer: Any, record: RunRecord) -> None:
    """The worst verdict of each pair (see `RunRecord.matrix`)."""
    matrix = record.matrix()
    for row in rows(matrix, record.nodes, record.answers_in_clear()) if matrix else ():
        for text, markup in row:
            writer.write(text, **markup)
        writer.line("")
