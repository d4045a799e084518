"""The profile extended through the API: NodePorts, hostPorts, DNS and health endpoints, and what a cluster lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import IPFamily
from tests.existing.conftest import MakeDouble
from tests.existing.test_lab import run_suite

pytestmark = pytest.mark.slow

PROFILE = "--ciliumwg-profile=extended"


@pytest.mark.thorough(but=("1.18.3",))
@pytest.mark.parametrize(("version", "verified"), [
    ("1.18.3", {"dns": 6, "nodeport": 6, "hostport": 2, "health": 3}),
    ("1.13.18", {"dns": 6, "nodeport": 2, "health": 1}),
])  # fmt: skip
def test_all_paths_are_found_and_made(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch,
    version: str, verified: dict[str, int],
) -> None:  # fmt: skip
    double = lab_double(version, nodes=2, families=frozenset({IPFamily.V4}), extended=True)
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    done = run_suite(pytester, PROFILE, f"--ciliumwg-report={tmp_path / 'report'}")
    assert done.ret == 0, done.stdout.str()
    report: dict[str, Any] = json.loads(tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8"))
    assert report["outcome"] == "conformant"
    passed = [check["id"].partition(".")[0] for check in report["checks"] if check["outcome"] == "pass"]
    assert {area: passed.count(area) for area in passed} == verified
    why = {check["id"]: check["message"] for check in report["checks"] if check["outcome"] == "skip"}
    assert "this provider has no client outside of the cluster" in why["north-south.delivered"]
    assert ("hostport.delivered" in why) is (version == "1.13.18")
    assert double.ours() == []
