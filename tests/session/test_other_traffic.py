"""Traffic that is not the run's own: what has WireGuard's port by chance fails no check; other pods' is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_ciliumwg.faults import FAULTS
from tests.other_traffic import CLIENT, start_other_traffic

from .conftest import SuiteRun

FAULT = "other-traffic"


def test_clients_and_overlays_have_any_port(run_lab: Callable[..., SuiteRun], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, FAULT, replace(FAULTS["leak-pair"], name=FAULT, inject=start_other_traffic))
    run = run_lab(f"--ciliumwg-fault={FAULT}", "-k", "framing or outer or control")
    assert run.result.ret == 0, run.outcome("fail") | run.outcome("inconclusive")
    (framing,) = (check for check in run.report["checks"] if check["id"] == "wire.framing")
    assert f"→ {CLIENT}, which is not between nodes, have WireGuard's port" in str(framing["notes"])


def test_what_is_only_reported_of_other_pods_is_in_the_verdict(run_lab: Callable[..., SuiteRun]) -> None:
    leak = ("--ciliumwg-fault=leak-other-pods-v4", "--ciliumwg-nodes=2")
    run = run_lab(*leak, "--ciliumwg-other-pods=report", "-k", "other_pods or control")
    assert run.result.ret == 0
    assert run.report["verdict"].endswith(", with 1 pair of other pods in cleartext (only reported, as was asked)")
