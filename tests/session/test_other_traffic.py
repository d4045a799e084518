"""What has WireGuard's port by chance, in a healthy cluster, is nothing that a check fails of."""

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
