"""Real agents, packets and WireGuard behind the API: the provider sees and does there what it would in a cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.agent_client.client import Agent
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.flows.plan import plan_flows
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod
from pytest_ciliumwg.model.traffic import Verdict
from pytest_ciliumwg.providers.existing import ExistingCluster
from pytest_ciliumwg.verdict.judge import Judge
from pytest_ciliumwg.watch.one_shot import measure
from tests.apidouble import LabBackend
from tests.existing.conftest import Connect, MakeDouble
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

NET_RAW = 1 << 13
PATIENT: dict[str, Any] = {"timeout": 30.0}


def judged(cluster: ExistingCluster) -> Judge:
    """All flows between the test pods, in one watch."""
    pods = cluster.test_pods()
    mtus = {pod.key: Agent(cluster.pod_agent(pod)).route_mtus(map(str, _others(pods, pod))) for pod in pods}
    states = {pod.node: cluster.state(pod.node) for pod in pods}
    dropped, families = expectations_for(cluster.declared).drops_fragments, cluster.declared.families
    flows = plan_flows(pods, families, lambda pod, address: mtus[pod.key][str(address)], FlowNumbers(), dropped)
    return Judge(measure(cluster, flows, states, 51871, lambda _: None), cluster.nodes())


def _others(pods: Sequence[Pod], pod: Pod) -> list[IPAddress]:
    return [ip for peer in pods if peer is not pod for ip in peer.addresses]


# Shape → (Cilium version, families, routing, nodes).
SHAPES = {
    "1.10-vxlan": ("1.10.20", {IPFamily.V4}, "vxlan", 2),
    "1.13-dual": ("1.13.18", set(IPFamily), "native", 3),
    "1.15-dual-vxlan": ("1.15.10", set(IPFamily), "vxlan", 3),
    "1.18-dual": ("1.18.3", set(IPFamily), "native", 2),
}


@pytest.mark.thorough(but=("1.18-dual",))
@pytest.mark.parametrize("shape", SHAPES)
def test_the_suite(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    version, families, routing, nodes = SHAPES[shape]
    # One of them with the programs of a container runtime, which all others save.
    forks = shape != "1.10-vxlan"
    double = lab_double(version, forks=forks, nodes=nodes, families=frozenset(families), routing_mode=routing)
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    done = run_suite(pytester)
    outcomes = done.parseoutcomes()
    assert done.ret == 0, done.stdout.str()
    assert outcomes.get("passed", 0) > 20
    assert not outcomes.keys() & {"failed", "errors", "inconclusive"}
    assert "pod-to-service: the cluster has no Services" not in done.stdout.str()
    done.stdout.fnmatch_lines([f"*existing: Cilium {version} in namespace kube-system*", "*not declared, taken as *"])
    assert f"routing_mode {routing}" in done.stdout.str()
    assert double.ours() == []


# Faults that do not hide each other → (Cilium version, what the failing checks say). The faults of the watch are the
# agent's, not the cluster's.
FAULTS = {
    "encryption-off": ("1.18.3", ["expected WireGuard encryption enabled"]),
    "rule-deleted,table-emptied": ("1.13.18", [
        "lab-worker IPv4: expected exactly `1: from all fwmark 0xe00/0xf00 lookup 201`",
        "lab-worker IPv4: expected `default dev cilium_wg0` in table 201, and no other way to pods",
    ]),
    "redirect-removed-v6": ("1.18.3", ["frames of the reply leaving lab-worker eth0 in cleartext (eth/ipv6/"]),
    "leak-udp-pair,leak-vxlan": ("1.15.10", [
        "UDP v4 lab-worker → lab-control-plane (10.244.1.10 → 10.244.0.10): expected",
        "leaving lab-worker eth0 in cleartext (eth/ipv4/udp:8472/vxlan/eth/ipv4/",
    ]),
    "leak-snat": ("1.15.10", ["frames of the request leaving lab-worker eth0 in cleartext"]),
    "leak-eth1": ("1.15.10", ["frames of the request leaving lab-worker eth1 in cleartext"]),
}  # fmt: skip


@pytest.mark.thorough(but=("redirect-removed-v6",))
@pytest.mark.parametrize("faults", FAULTS)
def test_faults_are_found(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, faults: str
) -> None:
    version, said = FAULTS[faults]
    families = {IPFamily.V4, IPFamily.V6} if faults.endswith("v6") else {IPFamily.V4}
    double = lab_double(version, nodes=2, families=frozenset(families), faults=faults.split(","))
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    done = run_suite(pytester, "-v", f"--ciliumwg-report={tmp_path / 'report'}")
    assert done.ret == 1
    for sentence in said:
        assert sentence in done.stdout.str()
    flows = json.loads(tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8"))["flows"]
    assert {flow["verdict"] for flow in flows if not flow["dropped_by_design"]} <= {"cleartext", "encrypted"}
    assert any(flow["verdict"] == "cleartext" for flow in flows)
    assert double.ours() == []


def test_some_of_the_nodes(lab_double: MakeDouble, connect: Connect) -> None:
    double = lab_double("1.18.3", families=frozenset({IPFamily.V4}))
    cluster = connect(double, max_nodes=2, **PATIENT)
    assert len(cluster.nodes()) == 3
    assert [pod.node for pod in cluster.test_pods()] == ["lab-control-plane", "lab-worker"]
    judgements = [judgement for judgement in judged(cluster).judgements if not judgement.flow.dropped_by_design]
    assert {judgement.verdict for judgement in judgements} == {Verdict.ENCRYPTED}
    assert isinstance(double.backend, LabBackend)
    for pod in double.store.select("pods", double.ours()[0]):
        node_agent = cluster.node_agent(pod["spec"]["nodeName"])
        agent = json.loads(node_agent.exchange(b'{"op":"hello"}', timeout=PATIENCE))["pid"]
        for process in ("self", agent):
            look = double.backend.command(pod, "agent", ["grep", "CapEff", f"/proc/{process}/status"])
            shown = subprocess.run(look, capture_output=True, text=True, check=True).stdout
            assert int(shown.split()[1], 16) == NET_RAW, "the agents work with this capability alone"


def run_suite(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """The conformance suite, over the cluster of $KUBECONFIG."""
    pytester.makeconftest(
        """
        from pytest_ciliumwg.providers.existing import ExistingSpec, RetryPolicy, connect_existing

        def pytest_ciliumwg_cluster(settings, progress):
            how = {"timeout": 30, "retry_policy": RetryPolicy(poll=0.05), "extended": "extended" in settings.profiles}
            return connect_existing(ExistingSpec(**how), progress)
        """
    )
    options = ("--ciliumwg-provider=existing", "-p", "no:cacheprovider", *arguments)
    return pytester.runpytest_inprocess("--ciliumwg", *options)
