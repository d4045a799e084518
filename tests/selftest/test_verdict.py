"""What a run with a fault says of the suite: caught, missed, in doubt, or somebody else blamed."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.checks.finding import Finding
from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.faults.catalogue import Consequence, Doubt, Names
from pytest_ciliumwg.model.node_state import Endpoint
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.selftest.verdict import Declared, Result, judge, judge_healthy

ADDRESS = ip_address("172.18.0.3")
WORKER = frozenset({"lab-worker", "172.18.0.3"})
WORKER2 = frozenset({"lab-worker2", "172.18.0.4"})


def declared(
    *,
    names: Names = "node",
    also: tuple[Consequence, ...] = (),
    leaks: bool = False,
    catcher: str = "peers.count",
    check_id: str = "peers.count",
) -> Declared:
    pair = names == "pair"
    return Declared(
        catcher=catcher,
        check_id=check_id,
        also=also,
        leaks=leaks,
        names=names,
        suspects=((WORKER, WORKER2),) if pair else ((WORKER,),),
        nodes=(("lab-worker", "lab-worker2"),) if pair else (("lab-worker",),),
    )


FAULTY = Place.of_node("lab-worker")


def row(check: str, outcome: str, place: Place = FAULTY, params: str = "") -> dict[str, Any]:
    findings = [Finding(place=place, expected="2", seen="1").fields()] if outcome == "fail" else []
    return {"id": check, "title": f"{check}{params}", "outcome": outcome, "findings": findings}


def flow(verdict: str, source: str = "lab-worker", destination: str = "lab-worker2") -> dict[str, Any]:
    return {"id": 1, "protocol": "udp", "source_node": source, "destination_node": destination, "verdict": verdict}


def report(*rows: dict[str, Any], flows: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"checks": [*rows, row("device.up", "pass")], "flows": list(flows), "findings": []}


def test_caught() -> None:
    outcome = judge(declared(), report(row("peers.count", "fail")))
    assert outcome.good
    assert outcome.caught_by == ("peers.count",)


def test_missed() -> None:
    for outcome_of_catcher in ("pass", "skip"):
        outcome = judge(declared(also=("peers.*",)), report(row("peers.count", outcome_of_catcher)))
        assert outcome.result is Result.MISSED
    assert judge(declared(), report()).result is Result.MISSED


def test_what_could_not_be_measured_is_not_caught() -> None:
    outcome = judge(declared(), report(row("peers.count", "inconclusive")))
    assert outcome.result is Result.INCONCLUSIVE
    assert not outcome.good


def doubt(check: str, place: Place = FAULTY) -> dict[str, Any]:
    """A check of the measurement that found something wrong: inconclusive, with its place."""
    return row(check, "inconclusive") | {"findings": [Finding(place=place, expected="0", seen="1").fields()]}


def test_a_check_of_the_measurement_catches_by_its_doubt() -> None:
    wanted = declared(catcher="capture.no-drops")
    assert judge(wanted, report(doubt("capture.no-drops"))).good
    assert not judge(wanted, report(doubt("capture.no-drops", Place.of_node("lab-worker2")))).good
    assert judge(wanted, report(row("capture.no-drops", "inconclusive"))).result is Result.INCONCLUSIVE


def test_a_measurement_that_went_wrong_by_itself_is_disturbed() -> None:
    caught, drops = row("peers.count", "fail"), doubt("capture.no-drops")
    assert judge(declared(), report(caught, drops)).disturbed
    assert not judge(declared(also=("capture.*",)), report(caught, drops)).disturbed
    assert not judge(declared(catcher="capture.no-drops"), report(drops)).disturbed
    assert judge_healthy(report(drops)).disturbed
    assert not judge_healthy(report(row("capture.no-drops", "inconclusive"))).disturbed


def test_a_catcher_may_be_one_of_its_tests() -> None:
    wanted = declared(catcher="wire.delivered[v6-udp]", check_id="wire.delivered")
    other = row("wire.delivered", "fail", params="[v4-udp]")
    assert judge(wanted, report(other)).result is Result.MISSED
    assert judge(wanted, report(other, row("wire.delivered", "fail", params="[v6-udp]"))).good


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_check_that_was_not_declared_is_a_wrong_blame(outcome: str) -> None:
    rows = row("peers.count", "fail"), row("device.mtu", outcome)
    assert not judge(declared(), report(*rows)).good
    assert judge(declared(), report(*rows)).result is Result.CAUGHT
    assert judge(declared(also=("device.*",)), report(*rows)).good


def test_some_may_doubt_and_not_fail() -> None:
    wanted = declared(also=(Doubt("wire.*"),))
    assert judge(wanted, report(row("peers.count", "fail"), row("wire.delivered", "inconclusive"))).good
    assert not judge(wanted, report(row("peers.count", "fail"), row("wire.delivered", "fail"))).good


@pytest.mark.parametrize(
    ("names", "place", "good"),
    [
        ("node", FAULTY, True),
        ("node", Place.of_node("lab-worker", "eth0", detail="before the flows"), True),
        ("node", Place.of_endpoint("lab-worker2", Endpoint(address=ADDRESS, port=51871)), True),
        ("node", Place.of_node("lab-worker2").concerning(["lab-worker"]), True),
        ("node", Place.of_node("lab-worker2"), False),
        ("node", Place.of_node("lab-worker2").concerning(addresses=[ip_address("172.18.0.30")]), False),
        ("node", Place.everywhere("the nodes, lab-worker among them"), False),
        ("node", Place.everywhere("3 nodes"), False),
        ("pair", Place.of_peer("lab-worker", "lab-worker2"), True),
        ("pair", Place.of_outer("lab-worker2", "eth0", ADDRESS, ip_address("172.18.0.4")), True),
        ("pair", FAULTY, False),
        ("pair", Place.of_pair("lab-worker2", "lab-control-plane"), False),
        ("cluster", Place.everywhere("Cilium's configuration"), True),
    ],
)
def test_the_right_place_has_to_be_named(names: Names, place: Place, good: bool) -> None:
    assert judge(declared(names=names), report(row("peers.count", "fail", place))).good is good


def test_a_name_in_words_alone_is_none() -> None:
    seen = report(row("peers.count", "fail", Place.of_node("lab-worker2")))
    seen["checks"][0]["findings"][0] |= {"where": "lab-worker", "expected": "lab-worker", "seen": "172.18.0.3"}
    assert judge(declared(), seen).wrong == ("peers.count blames `lab-worker`, which is not where the fault is",)


def test_findings_without_a_place_are_none_of_ours() -> None:
    seen = report(row("peers.count", "fail"))
    del seen["checks"][0]["findings"][0]["place"]
    with pytest.raises(CiliumwgError, match=r"cannot be read.*'place'"):
        judge(declared(), seen)


def test_a_consequence_has_to_name_the_place_too() -> None:
    rows = row("peers.count", "fail"), row("peers.keys", "fail", Place.of_node("lab-worker2"))
    assert not judge(declared(also=("peers.*",)), report(*rows)).good


def test_cleartext_that_was_not_is_a_wrong_blame() -> None:
    seen = report(row("peers.count", "fail"), flows=(flow("cleartext"),))
    assert not judge(declared(), seen).good
    assert judge(declared(leaks=True), seen).good
    assert judge(declared(leaks=True), seen).clear_flows == 1


def test_a_flow_elsewhere_is_a_wrong_blame() -> None:
    for verdict in ("cleartext", "unreachable", "inconclusive"):
        elsewhere = flow(verdict, "lab-control-plane", "lab-worker2")
        seen = report(row("peers.count", "fail"), flows=(elsewhere,))
        assert not judge(declared(leaks=True), seen).good
        assert judge(declared(leaks=True, names="cluster"), seen).good


def test_without_its_catcher_a_fault_is_missed() -> None:
    seen = report(row("peers.count", "fail"), row("peers.keys", "fail"))
    wanted = declared(also=("peers.*",))
    assert judge(wanted, seen).good
    assert judge(wanted, seen, without={"peers.count"}).result is Result.MISSED


def test_healthy() -> None:
    assert judge_healthy(report(flows=(flow("encrypted"),))).good
    assert not judge_healthy(report(row("peers.count", "fail"))).good
    assert not judge_healthy(report(row("peers.count", "inconclusive"))).good
    assert not judge_healthy(report(flows=(flow("unreachable"),))).good
    assert judge_healthy(report(flows=(flow("unreachable") | {"dropped_by_design": True},))).good
    assert not judge_healthy({"checks": [], "flows": []}).good


def test_a_report_of_something_else() -> None:
    with pytest.raises(CiliumwgError, match=r"cannot be read"):
        judge(declared(), {"checks": [{"id": "x"}], "flows": [], "findings": []})


@pytest.mark.parametrize(
    ("first", "wrong"),
    [
        ({"named": ["lab-worker"], "failed": ["peers.count"]}, []),
        ({"named": ["lab-worker2"], "failed": ["peers.count"]}, ["names no node of the fault"]),
        ({"named": ["lab-worker"], "failed": ["device.up"]}, ["is not that of peers.count"]),
    ],
)
def test_the_first_finding_names_the_fault(first: dict[str, Any], wrong: list[str]) -> None:
    finding = {"headline": "told", "inconclusive": []} | first
    seen = report(row("peers.count", "fail", FAULTY)) | {"findings": [finding]}
    outcome = judge(declared(), seen)
    assert [sentence.partition("`, ")[2] for sentence in outcome.wrong] == wrong


@pytest.mark.parametrize(
    ("nodes", "causes", "lines", "wrong"),
    [(3, 1, 40, 0), (3, 1, 41, 1), (3, 2, 41, 0), (4, 1, 41, 0), (32, 1, 60, 0), (32, 1, 61, 1), (64, 1, 200, 0)],
)
def test_one_cause_fits_into_a_few_lines(nodes: int, causes: int, lines: int, wrong: int) -> None:
    finding = {"headline": "told", "named": ["lab-worker"], "failed": ["peers.count"], "inconclusive": []}
    seen = report(row("peers.count", "fail"))
    seen |= {"findings": [finding] * causes, "cluster": {"nodes": list(map(str, range(nodes)))}}
    assert len(judge(declared(), seen, lines=lines).wrong) == wrong
