"""Network policies in a cluster: ours lets test traffic pass; those that deny it are told, and nothing else blamed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.existing import connect_existing
from tests.apidouble import LabBackend
from tests.apidouble.trouble import ALWAYS, Trouble, refuse
from tests.existing.conftest import Connect, MakeDouble, spec_for
from tests.existing.test_lab import run_suite

DENY = 'add rule inet deny pods iifname "lxc*" meta l4proto { tcp, udp, icmp } drop'


def policy(name: str, namespace: str | None) -> dict[str, object]:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, "spec": {}}


def test_our_own_policy_comes_and_goes(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    (namespace,) = double.ours()
    (ours,) = double.store.select("networkpolicies", namespace)
    assert ours["spec"]["podSelector"] == {}
    assert ours["spec"]["ingress"] == ours["spec"]["egress"] == [{}]
    assert list(cluster.policies()) == []
    double.store.put("networkpolicies", policy("default-deny", namespace))
    double.store.put("ciliumnetworkpolicies", policy("elsewhere", "another"))
    double.store.put("ciliumclusterwidenetworkpolicies", policy("lockdown", None))
    assert list(cluster.policies()) == [
        f"NetworkPolicy default-deny in namespace {namespace}", "CiliumClusterwideNetworkPolicy lockdown",
    ]  # fmt: skip
    cluster.close()
    assert double.ours() == []


def test_a_recorded_agent_that_does_not_tell_of_drops(recorded: MakeDouble, connect: Connect) -> None:
    cluster = connect(recorded())
    assert cluster.drops(cluster.selected[0]) is None


@pytest.mark.parametrize("code", [403, 404])
def test_without_the_right_to_make_a_policy_the_run_goes_on(recorded: MakeDouble, tmp_path: Path, code: int) -> None:
    double = recorded()
    double.troubles.append(Trouble("POST .*/networkpolicies", refuse(code), times=ALWAYS))
    told: list[str] = []
    connect_existing(spec_for(double, tmp_path), told.append).close()
    assert any("test pods get no network policy that lets their traffic pass" in line for line in told)


def test_policies_that_cannot_be_read_are_named(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    double.troubles.append(Trouble("GET .*/ciliumclusterwidenetworkpolicies", refuse(403), times=ALWAYS))
    double.troubles.append(Trouble("GET .*/ciliumnetworkpolicies", refuse(404), times=ALWAYS))
    (told,) = cluster.policies()
    assert told.startswith("ciliumclusterwidenetworkpolicies, which cannot be read (")


@pytest.mark.slow
def test_a_default_deny_is_one_finding(
    lab_double: MakeDouble, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = lab_double("1.18.3", nodes=2, families=frozenset({IPFamily.V4}))
    assert isinstance(double.backend, LabBackend)
    for node in double.backend.lab.layout:
        chain = "add chain inet deny pods { type filter hook prerouting priority -400; }"
        double.backend.lab.run_in(node, f"nft 'add table inet deny; {chain}; {DENY}'")
    double.store.put("ciliumclusterwidenetworkpolicies", policy("default-deny", None))
    monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
    done = run_suite(pytester, f"--ciliumwg-report={tmp_path / 'report'}")
    report = json.loads(tmp_path.joinpath("report", "report.json").read_text(encoding="utf-8"))
    assert report["outcome"] == "inconclusive"
    assert [check["id"] for check in report["checks"] if check["findings"]] == ["capture.policies"]
    (finding,) = report["findings"]
    assert finding["headline"] == "lab-control-plane and lab-worker: a network policy drops the test pods' traffic"
    assert "these may be why: CiliumClusterwideNetworkPolicy default-deny" in finding["state"][0]["said"]
    text = done.stdout.str()
    assert "not measured because of that: " in text
    assert "MTU" not in text
    assert "handshake" not in text.partition("= findings")[2]
    assert {flow["verdict"] for flow in report["flows"] if flow["promised"]} <= {"inconclusive", "unreachable"}
