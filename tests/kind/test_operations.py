"""The nodes of a kind cluster leave, come back and restart; and its Cilium becomes another version."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect.helm import default_node_image_for
from pytest_ciliumwg.providers.existing import ExistingSpec, RetryPolicy, connect_existing
from pytest_ciliumwg.providers.kind import KindProvider, KindSpec, cluster
from pytest_ciliumwg.providers.lab import LabSpec, create_lab
from tests.apidouble import ApiDouble, LabBackend, refuse
from tests.apidouble.trouble import ALWAYS

from .conftest import Machine, interrupted_after

pytestmark = pytest.mark.slow

VERSION = "1.15.10"
CONTROL, NODE = "lab-control-plane", "lab-worker"
Make = Callable[..., KindProvider]


@pytest.fixture
def double() -> Iterator[ApiDouble]:
    lab = create_lab(LabSpec(cilium_version=VERSION, nodes=3), lambda _: None)
    try:
        with ApiDouble(LabBackend(lab.lab)) as made:
            made.store.merge(
                "nodes", None, CONTROL, {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}
            )
            yield made
    finally:
        lab.close()


@pytest.fixture
def make(double: ApiDouble, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Make]:
    """Makes kind clusters whose API is the double's."""
    config = double.kubeconfig(tmp_path / "kubeconfig").read_text()
    machine.scenario(kubeconfig=config, double=double.url)
    monkeypatch.setenv("PATH", f"{machine.bin}:{os.defpath}:/usr/sbin:/sbin")
    made: list[KindProvider] = []

    def connect(spec: ExistingSpec, progress: Any) -> Any:
        return connect_existing(replace(spec, timeout=20, retry_policy=RetryPolicy(poll=0.05)), progress)

    monkeypatch.setattr(cluster, "connect_existing", connect)

    def create(**spec: Any) -> KindProvider:
        made.append(machine.create(**{"cilium_version": VERSION} | spec))
        machine.scenario(kubeconfig=config, double=double.url)
        return made[-1]

    yield create
    for provider in made:
        provider.close()


def rig(machine: Machine, double: ApiDouble, **what: Any) -> None:
    machine.scenario(double=double.url, **what)


def test_a_node_leaves_and_comes_back(make: Make, machine: Machine, double: ApiDouble) -> None:
    kind = make()
    stray = {"metadata": {"name": "stray", "namespace": "default"}, "spec": {"nodeName": NODE}, "status": {}}
    double.store.put("pods", stray)
    before = kind.snapshot()
    operations = kind.operations
    assert operations.unavailable("remove_node") == ""
    operations.remove_node(NODE)
    gone = kind.snapshot()
    assert NODE not in gone.nodes.keys() | gone.agents.keys() | gone.keys.keys() | set(gone.pods.values())
    assert [pod.node for pod in kind.test_pods()] == [CONTROL, "lab-worker2"]
    assert "POST /api/v1/namespaces/default/pods/stray/eviction" in double.journal
    assert len([line for line in double.journal if "/eviction" in line]) == 1, "pods of DaemonSets are not evicted"
    operations.add_node(NODE)
    after = kind.snapshot()
    assert after.nodes == before.nodes
    assert after.agents.keys() == before.agents.keys()
    assert after.keys[NODE] != before.keys[NODE], "its key went with its memory"
    pods = kind.test_pods()
    assert [pod.node for pod in pods] == [CONTROL, NODE, "lab-worker2"]
    assert kind.services().keys() == {pod.key for pod in pods}
    assert kind.state(NODE).wireguard is not None
    assert not double.store.get("nodes", None, NODE)["spec"].get("unschedulable")
    assert [line for line in machine.commands() if line.startswith("docker st")] == [
        f"docker stop {NODE}",
        f"docker start {NODE}",
    ]


def test_a_node_is_drained_and_restored(make: Make, double: ApiDouble) -> None:
    kind = make()
    kind.operations.drain_node(NODE)
    assert double.store.get("nodes", None, NODE)["spec"]["unschedulable"] is True
    assert len(kind.test_pods()) == 3
    kind.operations.restore()
    assert not double.store.get("nodes", None, NODE)["spec"].get("unschedulable")
    kind.operations.restore()


def test_a_node_restarts(make: Make, machine: Machine, double: ApiDouble) -> None:
    kind = make()
    before = kind.snapshot().keys[NODE]
    kind.operations.restart_node(NODE)
    assert kind.snapshot().keys[NODE] != before
    assert f"docker restart {NODE}" in machine.commands()
    for pod in kind.test_pods():
        assert b"ok" in kind.pod_agent(pod).exchange(b'{"op":"hello"}\n', timeout=5)
    assert b"ok" in kind.node_agent(NODE).exchange(b'{"op":"hello"}\n', timeout=5)


@pytest.mark.parametrize("operation", ["drain_node", "remove_node", "restart_node"])
def test_the_control_plane_and_strangers_are_left_alone(
    make: Make, machine: Machine, double: ApiDouble, operation: str
) -> None:
    operations = make().operations
    with pytest.raises(ProviderError, match="node lab-control-plane is the control plane of this cluster, which has"):
        getattr(operations, operation)(CONTROL)
    with pytest.raises(ProviderError, match="there is no node database in this cluster, only lab-control-plane, lab-"):
        getattr(operations, operation)("database")
    assert not [line for line in machine.commands() if line.startswith(("docker stop", "docker restart"))]
    assert not [line for line in double.journal if line.startswith("PATCH")]


def test_docker_that_refuses_is_told_and_undone(make: Make, machine: Machine, double: ApiDouble) -> None:
    kind = make()
    rig(machine, double, docker="stop")
    with pytest.raises(ProviderError, match=r"`docker stop lab-worker` failed: .*permission denied"):
        kind.operations.remove_node(NODE)
    rig(machine, double)
    kind.operations.restore()
    assert len(kind.test_pods()) == 3
    assert not double.store.get("nodes", None, NODE)["spec"].get("unschedulable")


def test_who_may_not_evict_is_told(make: Make, double: ApiDouble) -> None:
    kind = make()
    double.store.put(
        "pods",
        {"metadata": {"name": "stray", "namespace": "default"}, "spec": {"nodeName": NODE}, "status": {}},
    )
    double.trouble(r"POST .*/eviction", refuse(403, "Forbidden"), times=ALWAYS)
    with pytest.raises(ProviderError, match="cannot evict pod default/stray"):
        kind.operations.drain_node(NODE)


def picture(kind: KindProvider, double: ApiDouble) -> dict[str, Any]:
    """All that a change of a node could have left; names and keys of what was made anew left out."""
    snapshot = kind.snapshot()
    pods = [pod for pod in double.store.select("pods") if pod["spec"].get("nodeName")]
    return {
        "nodes": snapshot.nodes,
        "agents": {node: agent.ready for node, agent in snapshot.agents.items()},
        "keys": snapshot.keys.keys(),
        "pods": Counter((pod["metadata"]["namespace"], pod["spec"]["nodeName"]) for pod in pods),
        "cordoned": [
            node["metadata"]["name"] for node in double.store.select("nodes") if node["spec"].get("unschedulable")
        ],
    }


# Where a library is interrupted while it connects, nobody closes its socket.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("operation", ["drain_node", "remove_node", "restart_node"])
def test_interrupted_at_any_moment_and_restored_it_is_as_before(make: Make, double: ApiDouble, operation: str) -> None:
    kind = make()
    before = picture(kind, double)

    for moment in (random.uniform(0.01, longest) for longest in (0.1, 0.5, 2.0)):  # noqa: S311 - no secret
        with interrupted_after(moment):
            getattr(kind.operations, operation)(NODE)
        kind.operations.restore()
        assert picture(kind, double) == before, f"interrupted after {moment:.3f} s"
        for pod in kind.test_pods():
            assert b"ok" in kind.pod_agent(pod).exchange(b'{"op":"hello"}\n', timeout=5)
            assert b"ok" in kind.node_agent(pod.node).exchange(b'{"op":"hello"}\n', timeout=5)


def test_an_upgrade_installs_the_values_of_the_version(make: Make, machine: Machine, double: ApiDouble) -> None:
    kind = make(upgrade_path=("1.16.4",))
    kind.operations.check_upgrade([VERSION, "1.16.4"])
    kind.operations.upgrade("1.16.4")
    assert kind.declared.version == kind.actual_config().version == "1.16.4"
    assert {agent.image.partition("@")[0] for agent in kind.snapshot().agents.values()} == {
        "quay.io/cilium/cilium:v1.16.4"
    }
    installs = [call for call in machine.journal() if call["argv"][:2] == ["upgrade", "--install"]]
    assert [call["argv"][call["argv"].index("--version") + 1] for call in installs] == [VERSION, "1.16.4"]
    assert kind._spec.cilium_version == "1.16.4"


@pytest.mark.parametrize(
    ("spec", "versions", "sentence"),
    [
        ({}, (VERSION, "1.19"), "Cilium 1.19 is tested with Kubernetes 1.31 to 1.34, but the cluster has 1.29: make"),
        ({}, ("1.14.0", "1.15.0"), f"Cilium {VERSION} runs, not 1.14.0"),
        ({"node_encryption": True}, (VERSION, "1.14", "1.13"), "node encryption with WireGuard exists from Cilium"),
        ({"strict_mode": True}, (VERSION, "1.14"), "the strict mode exists from Cilium 1.15"),
        ({"userspace_fallback": True}, (VERSION, "1.16", "1.17"), "the userspace fallback exists in Cilium 1.11 to"),
    ],
)
def test_a_path_that_the_cluster_cannot_go_is_refused(
    make: Make, machine: Machine, spec: dict[str, Any], versions: tuple[str, ...], sentence: str
) -> None:
    kind = make(**spec)
    with pytest.raises(ProviderError) as caught:
        kind.operations.check_upgrade(versions)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_named_node_image_is_taken_as_it_is(make: Make) -> None:
    make(node_image="kindest/node:v1.29.14").operations.check_upgrade([VERSION, "1.16", "1.17", "1.18", "1.19"])


def test_the_node_image_suits_the_whole_path() -> None:
    spec = KindSpec(cilium_version="1.16", upgrade_path=("1.17",))
    spec.check()
    assert spec.image.startswith("kindest/node:v1.30.")
    assert spec.image == default_node_image_for(["1.16", "1.17"])
    with pytest.raises(ProviderError, match="no pinned node image has a Kubernetes that all of these versions were"):
        KindSpec(cilium_version="1.13", upgrade_path=("1.14", "1.15", "1.16")).check()
