"""What is declared and what is there: nodes without Cilium and those left out are told, and each option is compared."""

from __future__ import annotations

from typing import Any

from pytest_ciliumwg.model.cluster import LeftOut, Member
from pytest_ciliumwg.providers.existing import Declared
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


def test_the_two_directions_of_the_strict_mode_are_compared_apart(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    entries = {"data": {"enable-encryption-strict-mode-ingress": "true"}}
    double.store.merge("configmaps", "kube-system", "cilium-config", entries)
    cluster = connect(double, declared=Declared(strict_egress=True))
    found, declared = cluster.actual_config(), cluster.declared
    assert (declared.strict_egress, found.strict_egress) == (True, False)
    assert (declared.strict_ingress, found.strict_ingress) == (True, True), "what is not declared is taken as found"
