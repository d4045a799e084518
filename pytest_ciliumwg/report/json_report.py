"""report.json: the run as data. docs/report.md describes it, docs/report.schema.json as a JSON Schema."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from pytest_ciliumwg import __version__
from pytest_ciliumwg.diagnosis.diagnosis import Diagnosis
from pytest_ciliumwg.model.traffic import Verdict
from pytest_ciliumwg.report import changes
from pytest_ciliumwg.report.measured import custody, environment, tunnels
from pytest_ciliumwg.report.record import CheckResult, Pair, RunRecord, plain, sighting_fields
from pytest_ciliumwg.report.unlisted import LEFT_OUT
from pytest_ciliumwg.verdict.judge import Judge, Judgement

SCHEMA = 2
NAME = "report.json"
MOST_FLOWS = 32_000
"""How many flows are listed: all of 64 nodes, each with each other."""


def text(fields: Mapping[str, Any]) -> str:
    """A document as text: a line for each row of a list. Indented throughout, it takes five times as long."""
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {_rows(value)}" for name, value in fields.items()) + "\n}\n"


def _rows(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value) + "\n ]"


def document(record: RunRecord, found: Iterable[Diagnosis], exit_status: int) -> dict[str, Any]:
    """The whole report, with the findings of the run."""
    tally, matrix = record.tally(), record.matrix()
    listed, left_out = _listed(record, matrix)
    return {
        "schema": SCHEMA,
        "tool": {"name": "pytest-ciliumwg", "version": __version__},
        "started": record.started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
        "outcome": tally.outcome.value,
        "verdict": tally.line(),
        "checks_expected": tally.expected,
        "checks_ran": tally.ran,
        "exit_status": exit_status,
        "cluster": {
            "provider": record.provider,
            "description": record.description,
            "declared": plain(record.declared) if record.declared else None,
            "nodes": record.nodes,
            "left_out": [{"node": name, "why": why.value} for name, why in record.left_out.items()],
        },
        "environment": environment(record),
        "touched": [{"node": change.node, "lost": change.lost, "new": change.new} for change in record.touched],
        "profiles": record.profiles,
        "reproduce": record.command,
        "summary": dict(record.counts()),
        "findings": [finding.fields() for finding in found],
        "checks": [_check(result) for result in record.results],
        "not_run": [
            {"id": check, "params": dict(params), "profile": record.profile_of.get(check, "core")}
            for check, params in record.not_run()
        ],
        "pairs_tested": tally.pairs,
        "pairs_in_all": tally.all_pairs,
        "pairs": _pairs(matrix),
        "sizes": _pairs(record.sizes()),
        "flows": [
            _flow(judgement) | {"stage": stage, "custody": custody(judge, judgement.flow)}
            for stage, judge, judgement in listed
        ],
        LEFT_OUT: left_out,
        "tunnels": [row | {"stage": stage} for stage, judge in record.judges.items() for row in tunnels(judge)],
        "watches": [row | {"stage": stage} for stage, judge in record.judges.items() for row in _watches(judge)],
        "changes": changes.rows(record),
    }


_Judged = tuple[str, Judge, Judgement]


def _listed(record: RunRecord, matrix: Mapping[Pair, Verdict]) -> tuple[list[_Judged], int]:
    """(Stage, judge, judgement) of the flows that are listed, and how many are not.

    Of a large cluster those that nothing is to be said of are too many for whoever reads a report, and are left out:
    encrypted ones between two nodes between which all is.
    """
    flows = [(stage, judge, judgement) for stage, judge in record.judges.items() for judgement in judge.judgements]
    if len(flows) <= MOST_FLOWS:
        return flows, 0

    def silent(row: _Judged) -> bool:
        judgement = row[2]
        good = judgement.verdict is matrix.get(judgement.flow.pair) is Verdict.ENCRYPTED
        return good and judgement.flow.promised

    listed = sorted(flows, key=silent)[:MOST_FLOWS]  # which keeps their order
    return listed, len(flows) - len(listed)


def _check(result: CheckResult) -> dict[str, Any]:
    said = {
        "findings": [finding.fields() for finding in result.findings],
        "unmeasured": [str(remark) for remark in result.unmeasured],
        "unsupported": [str(remark) for remark in result.unsupported],
        "notes": [str(remark) for remark in result.notes],
    }
    fields = asdict(replace(result, findings=(), unmeasured=(), unsupported=(), notes=()))
    del fields["about_a_change"], fields["nodeid"]
    return fields | said | {"title": result.title}


def _pairs(verdicts: Mapping[Pair, Verdict]) -> list[dict[str, Any]]:
    return [
        {"source": source, "destination": destination, "verdict": verdict.value}
        for (source, destination), verdict in verdicts.items()
    ]


def _flow(judgement: Judgement) -> dict[str, Any]:
    flow = judgement.flow
    fields: dict[str, Any] = plain(flow)
    return fields | {
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "delivery": plain(judgement.delivery),
        "sightings": [sighting_fields(seen) for seen in judgement.sightings],
    }


def _watches(judge: Judge) -> list[dict[str, Any]]:
    return [
        {
            "node": watch.node,
            "started": watch.started,
            "stopped": watch.stopped,
            "blind": list(judge.blindness.get(watch.node, ())),
            "devices": {
                name: {
                    "frames": device.frames,
                    "kernel_frames": device.kernel_frames,
                    "drops": device.drops,
                    "truncated": device.truncated,
                    "wireguard_messages": dict(
                        sum((Counter({m.kind.name.lower(): m.count}) for m in device.wireguard), Counter())
                    ),
                }
                for name, device in watch.devices.items()
            },
        }
        for watch in judge.measurement.watches.values()
    ]
