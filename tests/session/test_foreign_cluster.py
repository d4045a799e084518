"""Another cluster on the same network, with the same pod addresses: its frames are not ours, and are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_ciliumwg.faults import FAULTS
from tests.foreign_cluster import start_foreign_cluster

from .conftest import SuiteRun

RunLab = Callable[..., SuiteRun]
FAULT = "foreign-cluster"
NOT_OURS = "frames between machines that are no nodes of this cluster"


@pytest.fixture(autouse=True)
def _foreign_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, FAULT, replace(FAULTS["leak-pair"], name=FAULT, inject=start_foreign_cluster))


def notes(run: SuiteRun) -> dict[str, str]:
    return {check["title"]: " ".join(map(str, check["notes"])) for check in run.report["checks"] if check["notes"]}


@pytest.mark.thorough
def test_another_cluster_with_the_same_pod_addresses_is_put_aside_and_told(run_lab: RunLab) -> None:
    run = run_lab(f"--ciliumwg-fault={FAULT}")
    assert run.report["outcome"] == "conformant", run.outcome("fail") | run.outcome("inconclusive")
    told = notes(run)
    for title in ("wire.nothing-else", "wire.other-pods", "wire.outer-addresses"):
        assert NOT_OURS in told[title]


def test_beside_it_what_leaks_over_a_router_is_found(run_lab: RunLab) -> None:
    leaks = [f"--ciliumwg-fault={name}" for name in (FAULT, "leak-router")]
    failed = run_lab(*leaks, "-k", "no_cleartext or nothing_unattributed").outcome("fail")
    said = failed["size.no-cleartext[v4-udp]"]
    assert "leaving lab-worker eth0" in said
    assert "entering lab-worker2 eth0" in said


@pytest.mark.thorough
def test_it_is_put_aside_while_things_change_too(run_lab: RunLab) -> None:
    run = run_lab(f"--ciliumwg-fault={FAULT}", "--ciliumwg-observe=2s", "-k", "test_change")
    assert run.result.ret == 0, run.outcome("fail") | run.outcome("inconclusive")
    told = notes(run)
    for title in ("change.no-cleartext[observed]", "change.other-pods[observed]"):
        assert NOT_OURS in told[title]
