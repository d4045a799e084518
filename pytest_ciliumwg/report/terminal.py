"""The summary on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pytest_ciliumwg.model.traffic import Flow, Verdict
from pytest_ciliumwg.report import changes
from pytest_ciliumwg.report.outcome import RunOutcome
from pytest_ciliumwg.report.record import RunRecord

_CELLS = {
    Verdict.ENCRYPTED: ("ok", {"green": True}),
    Verdict.CLEARTEXT: ("CLEAR", {"red": True, "bold": True}),
    Verdict.BYPASS: ("BYPASS", {"red": True, "bold": True}),
    Verdict.UNREACHABLE: ("lost", {"red": True}),
    Verdict.INCONCLUSIVE: ("?", {"yellow": True}),
}
_COLOURS = {
    RunOutcome.CONFORMANT: "green",
    RunOutcome.PARTIAL: "yellow",
    RunOutcome.NOT_CONFORMANT: "red",
    RunOutcome.INCONCLUSIVE: "yellow",
}
_WIDTH = 8
_MOST_NODES = 16


def summarize(writer: Any, record: RunRecord) -> None:
    """Write what could not be measured, the matrix and the verdict; pytest itself has shown the failures."""
    _inconclusive(writer, record)
    writer.section("Cilium WireGuard conformance", sep="=")
    for line in record.description:
        writer.line(line)
    for change in record.touched:
        was = f"lost {', '.join(change.lost)}" if change.lost else ""
        now = f"got {', '.join(change.new)}" if change.new else ""
        told = f"{change.node} {' and '.join(filter(None, (was, now)))}"
        writer.line(f"changed while our pods came into the cluster: {told}", yellow=True)
    _matrix(writer, record)
    _sizes(writer, record)
    counts = record.counts()
    flows = record.promised()
    writer.line(", ".join(f"{counts[name]} {name}" for name in ("pass", "fail", "inconclusive", "skip")) + " (checks)")
    if flows:
        by_verdict = {verdict: sum(judgement.verdict is verdict for judgement in flows) for verdict in Verdict}
        writer.line(", ".join(f"{count} {verdict.value}" for verdict, count in by_verdict.items()) + " (flows)")
    _by_design(writer, record)
    for result in record.results:
        if result.notes:
            more = f" (and {len(result.notes) - 1} more)" if len(result.notes) > 1 else ""
            writer.line(f"{result.title}: {result.notes[0]}{more}", yellow=True)
    for line, fine in changes.lines(record):
        writer.line(line, green=fine, red=not fine)
    tally = record.tally()
    writer.line(tally.line(), **{_COLOURS[tally.outcome]: True})


def _sizes(writer: Any, record: RunRecord) -> None:
    """Write what became of the flows that probe sizes, and which sizes were not delivered."""
    judged = [judgement for judgement in record.promised() if judgement.flow.purpose == "size"]
    if not judged:
        return
    verdicts = Counter(judgement.verdict for judgement in judged)
    counts = ", ".join(f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict if verdicts[verdict])
    writer.line(f"sizes: {counts} (flows)")
    unreachable = [judgement.flow for judgement in judged if judgement.verdict is Verdict.UNREACHABLE]
    for known, words in ((False, "not delivered"), (True, "known to be dropped by this version, in fragments")):
        if flows := [flow for flow in unreachable if flow.dropped_by_design is known]:
            writer.line(f"  {words}: {_which(flows)}", red=not known)


def _which(flows: Iterable[Flow]) -> str:
    sizes: dict[str, set[int]] = {}
    for flow in flows:
        sizes.setdefault(f"{flow.protocol.value} {flow.family.value}", set()).add(flow.payload_size)
    return "; ".join(f"{kind}: {', '.join(map(str, sorted(found)))} bytes" for kind, found in sizes.items())


def _by_design(writer: Any, record: RunRecord) -> None:
    """Write the verdicts of the paths that are not promised to be encrypted."""
    seen: dict[str, Counter[str]] = {}
    for judgement in record.judgements():
        if not judgement.flow.promised:
            seen.setdefault(judgement.flow.path, Counter())[judgement.verdict.value] += 1
    for path, verdicts in seen.items():
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        writer.line(f"{path}: {counts} (flows; by design not promised to be encrypted)")


def _inconclusive(writer: Any, record: RunRecord) -> None:
    doubtful = [result for result in record.results if result.outcome == "inconclusive"]
    if doubtful:
        writer.section("INCONCLUSIVE", sep="=")
    for result in doubtful:
        writer.line(f"{result.title}: {result.statement}", yellow=True)
        for line in result.doubt.splitlines():
            writer.line(f"  {line}")


def _matrix(writer: Any, record: RunRecord) -> None:
    """Rows send, columns receive; the worst verdict of each pair (see `RunRecord.matrix`)."""
    matrix, nodes = record.matrix(), record.nodes
    if not matrix:
        return
    if len(nodes) > _MOST_NODES:
        bad = {pair: verdict for pair, verdict in matrix.items() if verdict is not Verdict.ENCRYPTED}
        writer.line(f"{len(matrix) - len(bad)} of {len(matrix)} directed node pairs encrypted")
        for (source, destination), verdict in bad.items():
            writer.line(f"  {source} → {destination}: {verdict.value}", red=True)
        return
    name = max(len(node) for node in nodes)
    writer.line("from \\ to".ljust(name) + "".join(str(column).rjust(_WIDTH) for column in range(1, len(nodes) + 1)))
    for row, source in enumerate(nodes, 1):
        writer.write(source.ljust(name))
        for destination in nodes:
            text, markup = _CELLS[matrix[source, destination]] if (source, destination) in matrix else ("-", {})
            writer.write(text.rjust(_WIDTH), **markup)
        writer.line(f"   {row}")
