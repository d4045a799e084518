"""What is declared and what is there: nodes without Cilium and those left out are told, and each option is compared."""

from __future__ import annotations

from threading import Timer
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import LeftOut, Member
from pytest_ciliumwg.providers.existing import Declared
from pytest_ciliumwg.providers.existing.cluster import ExistingCluster
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from tests.apidouble import ApiDouble, shapes
from tests.apidouble.recorded import NODE
from tests.existing.conftest import Connect, MakeDouble

OTHER_SYSTEM: dict[str, Any] = {"kubernetes.io/os": "windows"}
RIG = ["rig-control-plane", NODE, "rig-worker2"]


def add_node(double: ApiDouble, name: str, *, ready: bool = True, cordoned: bool = False, **labels: str) -> None:
    """One more node, without Cilium."""
    made = shapes.node(name, ["172.18.0.99"], control_plane=False, **labels)
    if not ready:
        made["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    if cordoned:
        made["spec"]["unschedulable"] = True
    double.store.put("nodes", made)


def add_pod(double: ApiDouble, node: str, *, host_network: bool = False, phase: str = "Running") -> None:
    """A pod there."""
    pod: dict[str, Any] = shapes.agent_pod(node, "172.18.0.99", name=f"web-{node}-{phase}-{host_network}".lower())
    pod["metadata"] |= {"namespace": "default", "labels": {}}
    pod["spec"]["hostNetwork"], pod["status"]["phase"] = host_network, phase
    double.store.put("pods", pod)


def left_out(members: tuple[Member, ...]) -> dict[str, LeftOut]:
    return {member.name: member.left_out for member in members if member.left_out}


def test_all_under_test(recorded: MakeDouble, connect: Connect) -> None:
    members = connect(recorded()).members()
    assert [member.name for member in members] == RIG
    assert left_out(members) == {}


def test_each_node_without_cilium_has_its_reason(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    add_node(double, "empty")
    for name in ("bare", "idle", "ended"):
        add_node(double, name, cordoned=True)
    add_pod(double, "bare")
    add_pod(double, "idle", host_network=True)
    add_pod(double, "ended", phase="Succeeded")
    add_node(double, "off", ready=False)
    add_node(double, "win", **OTHER_SYSTEM)
    add_node(double, "aci", type="virtual-kubelet")
    add_node(double, "kwok-0", type="kwok")
    for name in ("off", "win", "aci"):
        add_pod(double, name)
    cluster = connect(double)
    assert left_out(cluster.members()) == {
        "empty": LeftOut.NO_CILIUM,
        "bare": LeftOut.NO_CILIUM,
        "idle": LeftOut.NO_PODS,
        "ended": LeftOut.NO_PODS,
        "off": LeftOut.NOT_READY,
        "win": LeftOut.OTHER_SYSTEM,
        "aci": LeftOut.VIRTUAL,
        "kwok-0": LeftOut.VIRTUAL,
    }
    assert [pod.node for pod in cluster.test_pods()] == RIG


def test_what_an_option_leaves_out_is_said(recorded: MakeDouble, connect: Connect) -> None:
    few = connect(recorded(), max_nodes=2)
    assert left_out(few.members()) == {"rig-worker2": LeftOut.MOST_NODES}
    double = recorded()
    for name in RIG[:2]:
        double.store.merge("nodes", None, name, {"metadata": {"labels": {"pool": "blue"}}})
    add_node(double, "fargate")
    add_node(double, "blue-without-cilium", pool="blue")
    chosen = connect(double, node_selector={"pool": "blue"})
    assert left_out(chosen.members()) == {
        "rig-worker2": LeftOut.SELECTOR,
        "fargate": LeftOut.SELECTOR,
        "blue-without-cilium": LeftOut.NO_CILIUM,
    }


def put_endpoint(double: ApiDouble, name: str) -> None:
    endpoint = double.store.select("ciliumendpoints", "default")[0]
    double.store.put("ciliumendpoints", {**endpoint, "metadata": {**endpoint["metadata"], "name": name}})


def unmanaged(cluster: ExistingCluster) -> dict[str, tuple[str, ...] | None]:
    """Node → the pods that Cilium does not know."""
    return {
        member.name: None if member.unmanaged is None else tuple(pod.key for pod in member.unmanaged)
        for member in cluster.members()
    }


def test_pods_that_cilium_does_not_know_are_named(
    recorded: MakeDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExistingCluster, "settle_seconds", 0.2)
    double = recorded()
    add_pod(double, NODE)
    add_pod(double, "rig-worker2", host_network=True)
    add_pod(double, "rig-worker2", phase="Succeeded")
    add_pod(double, "rig-worker2")
    leaving = f"web-rig-worker2-running-{False}".lower()
    double.store.merge("pods", "default", leaving, {"metadata": {"deletionTimestamp": "2026-11-22T12:00:00Z"}})
    assert unmanaged(connect(double)) == {
        "rig-control-plane": (),
        NODE: (f"default/web-{NODE}-running-false",),
        "rig-worker2": (),
    }


def test_a_pod_that_gets_its_endpoint_is_known(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    add_pod(double, NODE)
    late = Timer(1.0, put_endpoint, (double, f"web-{NODE}-running-false"))
    cluster = connect(double)
    late.start()
    assert set(unmanaged(cluster).values()) == {()}
    late.join()


def test_a_pod_that_comes_while_others_are_waited_for_is_not_taken_for_one(
    recorded: MakeDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExistingCluster, "settle_seconds", 2.0)
    double = recorded()
    add_pod(double, NODE)
    new = Timer(1.0, add_pod, (double, "rig-worker2"))
    cluster = connect(double)
    new.start()
    found = unmanaged(cluster)
    new.join()
    assert (found[NODE], found["rig-worker2"]) == ((f"default/web-{NODE}-running-false",), ())


def test_who_may_not_list_pods_is_told_so(
    recorded: MakeDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> object:
        raise KubeError("cannot list pods", status=403)

    monkeypatch.setattr("pytest_ciliumwg.providers.existing.unmanaged._facts", forbidden)
    assert set(unmanaged(connect(recorded())).values()) == {None}


def test_where_no_endpoints_are_published_nothing_is_said_of_such_pods(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    double.store.merge("configmaps", "kube-system", "cilium-config", {"data": {"disable-endpoint-crd": "true"}})
    add_pod(double, NODE)
    assert set(unmanaged(connect(double)).values()) == {None}


def test_the_two_directions_of_the_strict_mode_are_compared_apart(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    entries = {"data": {"enable-encryption-strict-mode-ingress": "true"}}
    double.store.merge("configmaps", "kube-system", "cilium-config", entries)
    cluster = connect(double, declared=Declared(strict_egress=True))
    found, declared = cluster.actual_config(), cluster.declared
    assert (declared.strict_egress, found.strict_egress) == (True, False)
    assert (declared.strict_ingress, found.strict_ingress) == (True, True), "what is not declared is taken as found"
