"""The summary on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_ciliumwg.diagnosis.diagnosis import Diagnosis
from pytest_ciliumwg.model.traffic import Flow, Verdict
from pytest_ciliumwg.report import changes
from pytest_ciliumwg.report.findings import lines
from pytest_ciliumwg.report.matrix import rows
from pytest_ciliumwg.report.outcome import RunOutcome
from pytest_ciliumwg.report.record import RunRecord

_COLOURS = {
    RunOutcome.CONFORMANT: "green",
    RunOutcome.PARTIAL: "yellow",
    RunOutcome.NOT_CONFORMANT: "red",
    RunOutcome.INCONCLUSIVE: "yellow",
}
_WIDEST = 120


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
    _sizes(writer, record)
    _counts(writer, record)
    _by_design(writer, record)
    for result in record.results:
        if result.notes:
            more = f" (and {len(result.notes) - 1} more)" if len(result.notes) > 1 else ""
            writer.line(f"{result.title}: {result.notes[0]}{more}", yellow=True)
    for line, fine in changes.lines(record):
        writer.line(line, green=fine, red=not fine)


def verdict(writer: Any, record: RunRecord) -> None:
    """Write the run in one sentence."""
    tally = record.tally()
    writer.line(tally.line(), **{_COLOURS[tally.outcome]: True})


def _counts(writer: Any, record: RunRecord) -> None:
    counts, flows = record.counts(), record.promised()
    told = ", ".join(f"{counts[name]} {name}" for name in ("pass", "fail", "inconclusive", "skip")) + " (checks)"
    if flows:
        by_verdict = Counter(judgement.verdict for judgement in flows)
        words = ", ".join(f"{by_verdict[word]} {word.value}" for word in Verdict if by_verdict[word])
        told += f"\n{words} (flows)"
    for line in told.splitlines():
        writer.line(line)


def _sizes(writer: Any, record: RunRecord) -> None:
    """Write what became of the flows that probe sizes, and which sizes were not delivered."""
    judged = [judgement for judgement in record.promised() if judgement.flow.purpose == "size"]
    if not judged:
        return
    unreachable = [judgement.flow for judgement in judged if judgement.verdict is Verdict.UNREACHABLE]
    lost = [flow for flow in unreachable if not flow.dropped_by_design]
    known = len(unreachable) - len(lost)
    verdicts = Counter(judgement.verdict for judgement in judged)
    verdicts[Verdict.UNREACHABLE] -= known
    counts = ", ".join(f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict if verdicts[verdict] > 0)
    dropped = f"; {known} in fragments that this version is known to drop" if known else ""
    writer.line(f"sizes (flows): {counts or 'none'}{dropped}")
    if lost:
        writer.line(f"  not delivered: {_which(lost)}", red=True)


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
        told = ", ".join(f"{path} {count}" for path, count in paths.items())
        writer.line(f"{word}, and not promised by design (flows): {told}")


def _matrix(writer: Any, record: RunRecord) -> None:
    """The worst verdict of each pair (see `RunRecord.matrix`)."""
    matrix = record.matrix()
    for row in rows(matrix, record.nodes) if matrix else ():
        for text, markup in row:
            writer.write(text, **markup)
        writer.line("")
