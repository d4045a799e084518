"""A run on some of the pairs: it says so, finds what leaks on them, and passes nobody that it did not ask."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_ciliumwg.flows import plan
from pytest_ciliumwg.flows.pairs import chosen_pairs
from tests.session.conftest import SuiteRun

Run = Callable[..., SuiteRun]
RING = ("--ciliumwg-nodes=4", "--ciliumwg-pairs=ring")


def test_a_ring_conforms_on_its_pairs(run_lab: Run, judge_again: Callable[[], SuiteRun]) -> None:
    run = run_lab(*RING)
    run.result.stdout.fnmatch_lines(["- not tested: 4 directed node pairs*", "conformant on 8 of 12 pairs: * 4 nodes"])
    assert (run.report["pairs_tested"], run.report["pairs_in_all"], len(run.report["pairs"])) == (8, 12, 8)
    assert {pair["verdict"] for pair in run.report["pairs"]} == {"encrypted"}
    assert "not tested (4 of 12 directed pairs)" in run.html
    again = judge_again()
    assert again.report["verdict"].startswith("conformant on 8 of 12 pairs: ")


def test_a_leak_on_a_pair_of_the_ring_is_found(run_lab: Run) -> None:
    run = run_lab(*RING, "--ciliumwg-fault=leak-udp-pair")
    assert any(title.startswith("wire.no-cleartext") for title in run.outcome("fail"))
    assert run.report["verdict"].startswith("NOT CONFORMANT: ")
    assert run.report["verdict"].endswith(", tested on 8 of 12 pairs")
    clear = {(pair["source"], pair["destination"]) for pair in run.report["pairs"] if pair["verdict"] == "cleartext"}
    assert ("lab-worker", "lab-worker2") in clear


def test_a_node_that_no_flow_asked_is_not_passed(run_lab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "chosen_pairs", lambda pods, others: chosen_pairs(pods[:-1], others))
    run = run_lab("--ciliumwg-nodes=3", "-k", "test_data_messages_in_both_directions")
    assert list(run.outcome("inconclusive")) == ["wire.tunnelled"]
    assert "lab-worker2" in run.outcome("inconclusive")["wire.tunnelled"]
    assert "tested on 2 of 6 pairs" in run.report["verdict"]
