"""The cluster before anything of ours is in it: what our own pods make good is found all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ciliumwg.model.cluster import IPFamily
from tests.existing.conftest import Connect, MakeDouble
from tests.existing.test_lab import run_suite

pytestmark = pytest.mark.slow

# Fault → (Cilium version, the check that finds it, what the nodes got while our pods came).
HEALED = {
    "peer-removed": ("1.18.3", "peers.count[untouched]", "peer lab-control-plane"),
    "allowed-ips-cleared": ("1.13.18", "allowed-ips.pods[untouched]", "allowed IP 10.244."),
    "rule-deleted": ("1.13.18", "steering.rule[untouched-v4]", "rule"),
}


@pytest.mark.thorough(but=("allowed-ips-cleared",))
@pytest.mark.parametrize("fault", HEALED)
def test_what_our_pods_heal_is_found(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    version, check, made_good = HEALED[fault]
    double = lab_double(version, nodes=2, families=frozenset({IPFamily.V4}), faults=(fault,), heals=True)
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    done = run_suite(pytester, f"--ciliumwg-report={tmp_path / 'report'}")
    assert done.ret == 1
    report = json.loads(tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8"))
    failed = [result["title"] for result in report["checks"] if result["outcome"] == "fail"]
    assert check in failed
    assert all("[untouched" in title for title in failed), failed
    flows = [flow for flow in report["flows"] if flow["promised"] and not flow["dropped_by_design"]]
    assert {flow["verdict"] for flow in flows} == {"encrypted"}
    assert any(made_good in line for change in report["touched"] for line in change["new"]), report["touched"]
    done.stdout.fnmatch_lines(["*changed while our pods came into the cluster: lab-* got *"])


def test_what_is_right_is_not_touched(lab_double: MakeDouble, connect: Connect) -> None:
    double = lab_double("1.18.3", nodes=2, families=frozenset({IPFamily.V4}))
    cluster = connect(double, timeout=30.0)
    assert cluster.untouched is not None
    assert set(cluster.untouched.states) == {"lab-control-plane", "lab-worker"}
    ours = {ip for pod in cluster.test_pods() for ip in pod.addresses}
    known = {ip for pod in cluster.untouched.pods_after for ip in pod.addresses}
    assert known
    assert not ours & known
    assert any(line.startswith("Cilium's agents started 20") for line in cluster.description)
