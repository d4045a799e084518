"""What operations on the nodes of a kind cluster refuse, or undo at once: the cluster stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect.helm import default_node_image_for
from pytest_ciliumwg.providers.kind import KindSpec
from tests.apidouble import ApiDouble, refuse
from tests.apidouble.trouble import ALWAYS

from .conftest import Machine
from .on_lab import CONTROL, NODE, VERSION, Make, lab_behind_kind

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared_double() -> Iterator[ApiDouble]:
    with lab_behind_kind() as made:
        yield made


@pytest.fixture
def double(shared_double: ApiDouble) -> Iterator[ApiDouble]:
    """The one of this module; nothing of an earlier test is in it."""
    shared_double.journal.clear()
    yield shared_double
    shared_double.troubles.clear()
    shared_double.store.remove("pods", "default", "stray")
    assert shared_double.ours() == []
    # Nobody uncordons a node of a kind cluster that is deleted.
    for node in shared_double.store.names("nodes"):
        shared_double.store.merge("nodes", None, node, {"spec": {"unschedulable": None}})


def rig(machine: Machine, double: ApiDouble, **what: Any) -> None:
    machine.scenario(double=double.url, **what)


def test_a_node_is_drained_and_restored(make: Make, double: ApiDouble) -> None:
    kind = make()
    kind.operations.drain_node(NODE)
    assert double.store.get("nodes", None, NODE)["spec"]["unschedulable"] is True
    assert len(kind.test_pods()) == 3
    kind.operations.restore()
    assert not double.store.get("nodes", None, NODE)["spec"].get("unschedulable")
    kind.operations.restore()


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_docker_that_refuses_is_told_and_undone(make: Make, machine: Machine, double: ApiDouble) -> None:
    kind = make()
    rig(machine, double, docker="stop")
    with pytest.raises(ProviderError, match=r"`docker stop lab-worker` failed: .*permission denied"):
        kind.operations.remove_node(NODE)
    rig(machine, double)
    kind.operations.restore()
    assert len(kind.test_pods()) == 3
    assert not double.store.get("nodes", None, NODE)["spec"].get("unschedulable")


@pytest.mark.thorough
def test_who_may_not_evict_is_told(make: Make, double: ApiDouble) -> None:
    kind = make()
    double.store.put(
        "pods",
        {"metadata": {"name": "stray", "namespace": "default"}, "spec": {"nodeName": NODE}, "status": {}},
    )
    double.trouble(r"POST .*/eviction", refuse(403, "Forbidden"), times=ALWAYS)
    with pytest.raises(ProviderError, match="cannot evict pod default/stray"):
        kind.operations.drain_node(NODE)


@pytest.mark.thorough(but=("spec1-versions1-Cilium 1.15.10 runs, not 1.14.0",))
@pytest.mark.parametrize(
    ("spec", "versions", "sentence"),
    [
        ({}, (VERSION, "1.19"), "Cilium 1.19 is tested with Kubernetes 1.31 to 1.34, but the cluster has 1.29: make"),
        ({}, ("1.14.0", "1.15.0"), f"Cilium {VERSION} runs, not 1.14.0"),
        ({"node_encryption": True}, (VERSION, "1.14", "1.13"), "node encryption with WireGuard exists from Cilium"),
        ({"strict_egress": True}, (VERSION, "1.14"), "the strict mode for what leaves exists from Cilium 1.15"),
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


@pytest.mark.thorough
def test_a_named_node_image_is_taken_as_it_is(make: Make) -> None:
    make(node_image="kindest/node:v1.29.14").operations.check_upgrade([VERSION, "1.16", "1.17", "1.18", "1.19"])


@pytest.mark.thorough
def test_the_node_image_suits_the_whole_path() -> None:
    spec = KindSpec(cilium_version="1.16", upgrade_path=("1.17",))
    spec.check()
    assert spec.image.startswith("kindest/node:v1.30.")
    assert spec.image == default_node_image_for(["1.16", "1.17"])
    with pytest.raises(ProviderError, match="no pinned node image has a Kubernetes that all of these versions were"):
        KindSpec(cilium_version="1.13", upgrade_path=("1.14", "1.15", "1.16")).check()
