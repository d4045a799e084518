"""What a run says of pairs whose flows are delivered, and whose sizes are not."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pytest_ciliumwg.model.traffic import Delivery, Flow, Verdict
from pytest_ciliumwg.report import terminal
from pytest_ciliumwg.report.findings import findings
from pytest_ciliumwg.report.json_report import document
from pytest_ciliumwg.report.record import RunRecord
from pytest_ciliumwg.verdict.judge import Judge, Judgement
from tests.verdict.test_judge import FLOW, NODES, sound

PAIR = ("one", "two")
SIZE = replace(FLOW, id=1, purpose="size", payload_size=1421)


def judged(flow: Flow, verdict: Verdict) -> Judgement:
    return Judgement(flow, Delivery(flow=flow.id, sent=2, received=0, served=0, payload_bytes=0), verdict, "")


def record(*judgements: Judgement) -> RunRecord:
    judge = Judge(sound(), NODES)
    judge.__dict__["judgements"] = judgements
    made = RunRecord(provider="lab", profiles=["core"], nodes=["one", "two"])
    made.judges["initial"] = judge
    return made


def shown(made: RunRecord) -> list[str]:
    out = io.StringIO()
    writer = SimpleNamespace(
        section=lambda title, sep: out.write(f"{sep} {title} {sep}\n"),
        line=lambda text, **_: out.write(f"{text}\n"),
        write=lambda text, **_: out.write(text),
    )
    terminal.summarize(writer, made, findings(made), 80)
    return out.getvalue().splitlines()


def test_a_size_that_is_lost_has_a_line_of_its_own() -> None:
    made = record(judged(FLOW, Verdict.ENCRYPTED), judged(SIZE, Verdict.UNREACHABLE))
    assert made.matrix() == {PAIR: Verdict.ENCRYPTED}
    lines = shown(made)
    assert "flows: 1 encrypted, 1 unreachable" in lines
    assert "sizes not delivered: udp v4: 1421 bytes" in lines
    report = json.loads(json.dumps(document(made, findings(made), 1)))
    assert report["pairs"] == [{"source": "one", "destination": "two", "verdict": "encrypted"}]
    assert report["sizes"] == [{"source": "one", "destination": "two", "verdict": "unreachable"}]


def test_what_this_version_drops_is_said_apart() -> None:
    known = replace(SIZE, id=2, payload_size=2800, dropped_by_design=True)
    lines = shown(record(judged(FLOW, Verdict.ENCRYPTED), judged(known, Verdict.UNREACHABLE)))
    assert "flows: 1 encrypted, 1 dropped by design" in lines
    assert not any("not delivered" in line for line in lines)


@pytest.mark.parametrize("verdict", [Verdict.CLEARTEXT, Verdict.BYPASS])
def test_a_size_outside_the_tunnel_is_in_the_matrix(verdict: Verdict) -> None:
    made = record(judged(FLOW, Verdict.ENCRYPTED), judged(SIZE, verdict))
    assert made.matrix() == made.sizes() == {PAIR: verdict}


def test_sizes_of_a_pair_that_cannot_talk_are_no_news() -> None:
    made = record(judged(FLOW, Verdict.UNREACHABLE), judged(SIZE, Verdict.UNREACHABLE))
    assert made.matrix() == {PAIR: Verdict.UNREACHABLE}
    assert not any("sizes" in line for line in shown(made))
