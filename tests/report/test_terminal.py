"""The summary of a run with one cause fits on a screen of 80 columns, also at 32 nodes, and names node and cause."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pytest_ciliumwg.checks.finding import Finding, Remark
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.traffic import Delivery, Direction, Flow, Protocol, Sighting, Verdict
from pytest_ciliumwg.report import terminal
from pytest_ciliumwg.report.findings import findings
from pytest_ciliumwg.report.record import CheckResult, RunRecord
from pytest_ciliumwg.verdict.judge import Judge, Judgement
from tests.verdict.test_judge import FLOW, sound

WIDTH, MOST, AROUND = 80, 60, 14
"""Columns; lines that one cause may take; those of the header, the progress, pytest's own summary and the verdict."""
NODES = [f"worker-{number:02}.pool-a.example" for number in range(32)]
HIT = NODES[6]
Verdicts = Callable[[str, str], tuple[Verdict, tuple[Direction, ...]]]


def one_node_leaks(source: str, destination: str) -> tuple[Verdict, tuple[Direction, ...]]:
    """What HIT sends is in cleartext, be it asked or answered."""
    if HIT not in (source, destination):
        return Verdict.ENCRYPTED, ()
    return Verdict.CLEARTEXT, ("request" if source == HIT else "reply",)


def all_leak(source: str, destination: str) -> tuple[Verdict, tuple[Direction, ...]]:
    return Verdict.CLEARTEXT, ("request", "reply")


def one_node_is_lost(source: str, destination: str) -> tuple[Verdict, tuple[Direction, ...]]:
    return (Verdict.UNREACHABLE if HIT in (source, destination) else Verdict.ENCRYPTED), ()


def all_are_lost(source: str, destination: str) -> tuple[Verdict, tuple[Direction, ...]]:
    return Verdict.UNREACHABLE, ()


def judgements(verdicts: Verdicts) -> Iterator[Judgement]:
    pairs = [(one, other) for one in NODES for other in NODES if one != other]
    for number, (source, destination) in enumerate((*pairs, *pairs)):
        protocol = Protocol.UDP if number < len(pairs) else Protocol.TCP
        flow = replace(FLOW, id=number, source_node=source, destination_node=destination, protocol=protocol)
        verdict, directions = verdicts(source, destination)
        seen = tuple(sighting(flow, direction) for direction in directions)
        yield Judgement(flow, Delivery(flow=number, sent=2, received=2, served=2, payload_bytes=9), verdict, "", seen)


def sighting(flow: Flow, direction: Direction) -> Sighting:
    return Sighting(
        flow=flow.id, direction=direction, node=flow.pair[direction == "reply"], device="eth0", outgoing=True,
        how="canary", frames=9, first_at=1700000000.0, last_at=1700000002.5, layers="eth/ipv4/udp:20000",
    )  # fmt: skip


def result(check: str, outcome: str, places: list[Place], said: str) -> CheckResult:
    failed = tuple(Finding(place=place, expected="it", seen=said, meaning="It matters.") for place in places)
    doubts = tuple(Remark(place, said) for place in places)
    return CheckResult(
        id=check, params={}, outcome=outcome, message="", seconds=0.0, statement="", source="", profile="core",
        findings=failed if outcome == "fail" else (), unmeasured=() if outcome == "fail" else doubts,
    )  # fmt: skip


def record(verdicts: Verdicts, *results: CheckResult) -> RunRecord:
    judge = Judge(sound(), ())
    judge.__dict__["judgements"] = tuple(judgements(verdicts))
    made = RunRecord(provider="lab", profiles=["core"], nodes=NODES, results=list(results))
    made.judges["initial"] = judge
    return made


def shown(made: RunRecord) -> list[str]:
    out = io.StringIO()
    writer = SimpleNamespace(
        section=lambda title, sep, **_: out.write(f"{sep * 20} {title} {sep * 20}\n"),
        line=lambda text, **_: out.write(f"{text}\n"),
        write=lambda text, **_: out.write(text),
    )
    terminal.summarize(writer, made, findings(made), WIDTH)
    return [line[at : at + WIDTH] for line in out.getvalue().splitlines() for at in range(0, len(line) or 1, WIDTH)]


EVERYWHERE = [Place.of_node(node) for node in NODES]
PAIRS = [Place.between(HIT, node) for node in NODES if node != HIT]
CAUSES: dict[str, tuple[Verdicts, tuple[CheckResult, ...], str]] = {
    "a node without its rule": (
        one_node_leaks,
        (result("steering.rule", "fail", [Place.of_node(HIT)], "no such rule"),
         result("wire.counters", "inconclusive", PAIRS, "not measured")),
        f"1. {HIT} sends pods' traffic in cleartext: the ip rule",
    ),
    "encryption off": (
        all_leak,
        (result("config.encryption", "fail", [Place.everywhere("Cilium's configuration")], "disabled"),
         result("device.present", "fail", EVERYWHERE, "no such device"),
         *(result(f"peers.{name}", "inconclusive", EVERYWHERE, "no device") for name in ("count", "keys", "endpoint"))),
        "1. all 32 nodes send pods' traffic in cleartext: WireGuard encryption is not",
    ),
    "a peer that nobody has": (
        one_node_is_lost,
        (result("peers.count", "fail", [Place.of_peer(node, HIT) for node in NODES if node != HIT], "30, without it"),
         result("wire.delivered", "fail", [Place.of_pair(HIT, node) for node in NODES if node != HIT], "no answer")),
        f"1. {HIT} and all other nodes: traffic is lost: WireGuard's",
    ),
    "a network that carries nothing": (
        all_are_lost,
        (result("wire.delivered", "fail", PAIRS, "no answer"),
         result("capture.control-received", "inconclusive",
                [Place.of_node(one).concerning([two]) for one in NODES for two in NODES if one != two], "unheard")),
        "1. all 32 nodes: traffic is lost: no check of the state of the nodes explains it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_one_cause_at_32_nodes(name: str) -> None:
    verdicts, results, headline = CAUSES[name]
    lines = shown(record(verdicts, *results))
    assert len(lines) + AROUND <= MOST, "\n".join(lines)
    assert lines[1].startswith(headline), lines[1]
    assert not any(line.startswith("2. ") for line in lines), "it is one cause"


def test_the_pair_that_leaks_is_at_the_top_and_in_the_matrix() -> None:
    def one_pair(source: str, destination: str) -> tuple[Verdict, tuple[Direction, ...]]:
        leaks = (source, destination) == (HIT, NODES[20])
        return (Verdict.CLEARTEXT, ("request",)) if leaks else (Verdict.ENCRYPTED, ())

    lines = shown(record(one_pair, result("wire.no-cleartext", "fail", [Place.of_pair(HIT, NODES[20])], "9 frames")))
    assert lines[1].startswith(f"1. {HIT} sends pods' traffic to {NODES[20]} in")
    (row,) = [line for line in lines if line.startswith(" 7  ")]
    assert row.partition(HIT)[2].strip() == "······-·············C···········"
    order = [next(n for n, line in enumerate(lines) if word in line) for word in ("findings", " 7  ", "flows: ")]
    assert order == sorted(order)


def test_what_is_clear_by_design_is_one_line() -> None:
    made = record(lambda *_: (Verdict.ENCRYPTED, ()))
    clear = [replace(one, verdict=Verdict.CLEARTEXT, flow=replace(one.flow, promised=False, path="pod-to-node"))
             for one in judgements(all_leak)]  # fmt: skip
    made.judges["initial"].__dict__["judgements"] += tuple(clear)
    assert [line for line in shown(made) if "by design" in line] == [
        f"by design in cleartext: {len(clear)} pod-to-node"
    ]
