"""Report the changes: lines for the terminal, rows for report.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ciliumwg.changes.apply import ChangeResult
from pytest_ciliumwg.diagnosis.leaks import leaks, leaks_by_pair
from pytest_ciliumwg.model.timeline import Timeline
from pytest_ciliumwg.report.record import RunRecord, plain, sighting_fields
from pytest_ciliumwg.verdict.spans import spans
from pytest_ciliumwg.verdict.timeline import frames_in_clear, outages

_PAIRS_SHOWN = 8


def lines(record: RunRecord) -> Iterator[tuple[str, bool]]:
    """(Line, whether it is good news) for each change: what it was, what it cost, what leaked and is allowed."""
    for made in record.changes:
        leaked = bool(made.watched and made.watched.timeline.clear)
        yield _summary(record, made), not made.error and not leaked
        if made.watched and made.watched.tolerance.clear_reported:  # the others are findings
            pairs = list(leaks_by_pair(made.watched.timeline))
            yield from ((f"  {pair}: {told}", False) for pair, told in pairs[:_PAIRS_SHOWN])
            if len(pairs) > _PAIRS_SHOWN:
                yield f"  … and {len(pairs) - _PAIRS_SHOWN} more pairs in cleartext", False


def _summary(record: RunRecord, made: ChangeResult) -> str:
    if made.watched is None:
        return f"{made.change.name}: not made: {made.error}"
    timeline, convergence = made.watched.timeline, made.watched.convergence
    frames = frames_in_clear(timeline.clear)
    longest = [outage for _, outage in outages(timeline) if outage is not None]
    worst = max(longest, key=lambda outage: outage.seconds, default=None)
    parts = [
        f"{frames} frames in cleartext",
        f"longest outage {worst.seconds:.2f} s ({timeline.flows[worst.flow]})" if worst else "nothing lost",
        f"settled after {convergence.after:.1f} s" if convergence.after is not None else "did not settle",
    ]
    changed = changed_checks(record, made)
    parts += [f"checks that changed: {', '.join(changed)}"] if changed else []
    parts += [f"not done: {made.error}"] if made.error else []
    return f"{made.change.name}: {'; '.join(parts)}"


def changed_checks(record: RunRecord, made: ChangeResult) -> tuple[str, ...]:
    """The checks that came to another outcome after a change than in the stage before, as `id before → after`.

    What does not apply in one of the stages is no change.
    """
    stages = list(dict.fromkeys(result.params["stage"] for result in record.results if "stage" in result.params))
    if made.change.name not in stages or stages.index(made.change.name) == 0:
        return ()
    after = _outcomes(record, made.change.name)
    before = _outcomes(record, stages[stages.index(made.change.name) - 1])
    return tuple(
        f"{title} {before[title]} → {outcome}"
        for title, outcome in after.items()
        if outcome != before.get(title, outcome) and "skip" not in (outcome, before[title])
    )


def _outcomes(record: RunRecord, stage: str) -> Mapping[str, str]:
    """The outcome of each test of a stage, by its title without the stage; without those about the change itself."""
    return {
        result.title_in_any_stage: result.outcome
        for result in record.results
        if result.params.get("stage") == stage and not result.about_a_change
    }


def rows(record: RunRecord) -> list[dict[str, Any]]:
    """For report.json: each change with its timeline."""
    return [_row(record, made) for made in record.changes]


def _row(record: RunRecord, made: ChangeResult) -> dict[str, Any]:
    return {
        "name": made.change.name,
        "does": made.change.does,
        "source": made.change.source,
        "version": made.change.version,
        "node": made.node,
        "error": made.error,
        "unavailable": made.unavailable,
        "settled_after": made.watched.convergence.after if made.watched else None,
        "unsettled": list(made.watched.convergence.wrong) if made.watched else [],
        "changed_checks": list(changed_checks(record, made)),
        "timeline": _timeline(made.watched.timeline) if made.watched else None,
    }


def _timeline(timeline: Timeline) -> dict[str, Any]:
    return {
        "started": timeline.started,
        "stopped": timeline.stopped,
        "events": [plain(event) for event in timeline.events],
        "leaks": [sighting_fields(leak.seen) | {"told": leak.told} for leak in leaks(timeline)],
        "blind": [plain(blind) for blind in timeline.blind],
        "unsound": list(timeline.unsound),
        "clock_offsets": dict(timeline.offsets),
        "clock_uncertainty": dict(timeline.uncertainty),
        "flows": [_flow(timeline, number) for number in timeline.flows],
    }


def _flow(timeline: Timeline, number: int) -> dict[str, Any]:
    flow, totals = timeline.flows[number], timeline.totals.get(number)
    fields: dict[str, Any] = plain(flow)
    return fields | {
        "totals": plain(totals) if totals else None,
        "spans": [[span.kind, span.first_at, span.last_at] for span in spans(timeline, number)],
    }
