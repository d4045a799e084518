"""`pytest --ciliumwg` as a user runs it, with kind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.providers.existing import ExistingSpec, RetryPolicy, connect_existing
from pytest_ciliumwg.providers.kind import cluster
from pytest_ciliumwg.providers.lab import LabSpec, create_lab
from tests.apidouble import ApiDouble, LabBackend

from .conftest import Machine

ALL = ["--ciliumwg", "-p", "no:cacheprovider"]


def lab_backend(double: ApiDouble) -> LabBackend:
    assert isinstance(double.backend, LabBackend)
    return double.backend


@pytest.fixture
def double() -> Iterator[ApiDouble]:
    """What stands behind the cluster that the stand-in for kind makes."""
    lab = create_lab(LabSpec(cilium_version="1.15.10", nodes=2), lambda _: None)
    try:
        with ApiDouble(LabBackend(lab.lab)) as made:
            yield made
    finally:
        lab.close()


def test_one_command_makes_the_cluster_runs_the_suite_and_removes_the_cluster(
    double: ApiDouble, machine: Machine, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.scenario(kubeconfig=double.kubeconfig(tmp_path / "kubeconfig").read_text())
    monkeypatch.setenv("PATH", f"{machine.bin}:{os.defpath}:/usr/sbin:/sbin")

    def connect(spec: ExistingSpec, progress: Any) -> Any:
        return connect_existing(replace(spec, timeout=30, retry_policy=RetryPolicy(poll=0.05)), progress)

    monkeypatch.setattr(cluster, "connect_existing", connect)
    # The lab takes wireguard-go where the kernel has no WireGuard, and shows that as Cilium shows its fallback.
    fallback = "on" if lab_backend(double).lab.config.userspace_fallback else "off"
    arguments = [
        "--ciliumwg-nodes=2",
        "--ciliumwg-cilium-version=1.15.10",
        "-n",
        "2",
        f"--ciliumwg-userspace-fallback={fallback}",
    ]
    done = pytester.runpytest_inprocess(*ALL, *arguments)
    assert done.ret == 0, done.stdout.str()
    done.stdout.fnmatch_lines(
        [
            "ciliumwg: one cluster and one watch serve all checks, * -n is not used",
            "ciliumwg: kind: creating the cluster ciliumwg: 2 nodes of kindest/node:v1.29.14, which takes minutes",
            "ciliumwg: kind: installing Cilium 1.15.10 (native) from Cilium's Helm repository",
            "ciliumwg: kind: Cilium runs on 2 nodes",
            "ciliumwg: a kind cluster ciliumwg: 2 nodes *",
            "conformant: * checks passed on 2 nodes",
        ]
    )
    done.stdout.no_fnmatch_line("*not declared*")
    words = [call["argv"][:2] for call in machine.journal()]
    assert words.count(["create", "cluster"]) == 1
    assert words.count(["delete", "cluster"]) == 1
    assert double.ours() == []
    assert not machine.clusters()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dist=each", "--tx", "2*popen"], "--dist=each runs the checks in several environments, but they share"),
        (["--dist=load", "--tx", "2*popen"], "--tx runs the checks in several environments, but they share one"),
        (["--ciliumwg-routing=ipip"], "--ciliumwg-routing: 'ipip' is not accepted: accepted are native, vxlan, geneve"),
        (["--ciliumwg-kubeconfig=x"], "--ciliumwg-kubeconfig goes with --ciliumwg-provider=existing only, not"),
        (
            ["--ciliumwg-provider=lab", "--ciliumwg-set=a=b"],
            "--ciliumwg-set goes with --ciliumwg-provider=kind only, not",
        ),
        (
            ["--ciliumwg-provider=existing", "--ciliumwg-nodes=4"],
            "--ciliumwg-nodes goes with --ciliumwg-provider=kind and",
        ),
        (["--ciliumwg-set=nonsense"], "--ciliumwg-set: 'nonsense' is not accepted: accepted is KEY=VALUE"),
        (["--ciliumwg-values=gone.yaml"], "--ciliumwg-values: 'gone.yaml' is not accepted: there is no file gone.yaml"),
        (["--ciliumwg-cluster-name=My_Cluster"], "--ciliumwg-cluster-name: 'My_Cluster' is not accepted: accepted are"),
        (["--ciliumwg-node-encryption=maybe"], "--ciliumwg-node-encryption: 'maybe' is not accepted: accepted are 1,"),
        (["--ciliumwg-chart=oci://x/cilium"], "--ciliumwg-chart: say with --ciliumwg-cilium-version which version"),
        (["--ciliumwg-provider=existing", "--ciliumwg-node-selector=x"], "--ciliumwg-node-selector: 'x' is not"),
        (
            ["--ciliumwg-plan", "--ciliumwg-strict-egress=on", "--ciliumwg-ip-family=v6"],
            "the strict mode for what leaves protects IPv4",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_run(
    machine: Machine, pytester: pytest.Pytester, arguments: list[str], sentence: str
) -> None:
    done = pytester.runpytest_inprocess(*ALL, *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    both = done.stdout.str() + done.stderr.str()
    assert f"ERROR: {sentence}" in both
    assert "Traceback" not in both
    assert machine.journal() == []


def test_no_docker_is_one_sentence(machine: Machine, pytester: pytest.Pytester) -> None:
    machine.without("docker")
    done = pytester.runpytest_inprocess(*ALL)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: a kind cluster needs docker, which is not on PATH: *--ciliumwg-provider=lab*"])


def test_the_plan_shows_what_would_be_made_and_runs_nothing(machine: Machine, pytester: pytest.Pytester) -> None:
    for program in ("docker", "kind", "helm", "kubectl"):
        machine.without(program)
    done = pytester.runpytest_inprocess(
        *ALL, "--ciliumwg-plan", "--ciliumwg-routing=vxlan", "--ciliumwg-set=debug.enabled=true"
    )
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        [
            "cluster: provider kind, 3 nodes, IPdual, Cilium 1.*",
            "kind cluster ciliumwg, made from:",
            '*"disableDefaultCNI": true,',
            "Helm chart: cilium --repo * --version *, with the values:",
            '*"tunnelProtocol": "vxlan",',
            "  and debug.enabled=true",
            "the cluster is removed at the end",
            "*a namespace ciliumwg-<id>*",
            "*DaemonSet node-agent*",
            "check wire.no-cleartext*",
            "flows pair: *",
        ]
    )


def test_the_plan_for_an_existing_cluster_says_what_is_declared(machine: Machine, pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_inprocess(
        *ALL, "--ciliumwg-plan", "--ciliumwg-provider=existing", "--ciliumwg-strict-egress=on", "--ciliumwg-max-nodes=5"
    )
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        [
            "cluster: provider existing, at most 5 nodes, context of the kubeconfig",
            "declared: encryption on, node_encryption_opt_out node-role.*/control-plane, strict_egress on; *",
            "flows pair: 20 x tcp over IPv4, *",
        ]
    )
