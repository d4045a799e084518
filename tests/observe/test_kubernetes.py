from __future__ import annotations

from typing import Any

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily
from pytest_ciliumwg.observe.kubernetes import (
    KEY_ANNOTATIONS,
    node_facts,
    node_from_ciliumnode,
    nodes_from_ciliumnodes,
    pod_facts,
    pods_from_ciliumendpoints,
)
from pytest_ciliumwg.observe.wireguard import wireguard_from_dump

from . import recordings


@pytest.mark.parametrize("state", recordings.STATES)
def test_the_nodes_of_every_recording(state: str) -> None:
    nodes = nodes_from_ciliumnodes(recordings.objects(state, "ciliumnodes.json"))
    assert [node.name for node in nodes] == ["rig-control-plane", "rig-worker", "rig-worker2"]
    assert [str(node.address(IPFamily.V4)) for node in nodes] == ["172.18.0.2", "172.18.0.3", "172.18.0.4"]
    assert all((node.public_key is not None) is (state in recordings.ON) for node in nodes)
    assert all(node.pod_cidrs and node.cilium_addresses for node in nodes)
    assert all((node.address(IPFamily.V6) is not None) is state.endswith("dual") for node in nodes)


@pytest.mark.parametrize("state", recordings.ON)
def test_published_keys_are_those_of_the_devices(state: str) -> None:
    device, peers = wireguard_from_dump(recordings.agent(state, "wg-show-all-dump.txt"))
    nodes = nodes_from_ciliumnodes(recordings.objects(state, "ciliumnodes.json"))
    assert {node.name: node.public_key for node in nodes}[recordings.NODE] == device.public_key
    assert {node.public_key for node in nodes} == {device.public_key, *(peer.public_key for peer in peers)}


def test_only_nodes_that_encrypt_their_own_traffic_publish_a_number() -> None:
    nodes = nodes_from_ciliumnodes(recordings.objects("v1.15/node-encryption", "ciliumnodes.json"))
    assert [node.encryption_key for node in nodes] == [None, 255, 255]


@pytest.mark.parametrize("state", recordings.ON)
def test_allowed_ips_belong_to_pods_nodes_and_cilium(state: str) -> None:
    nodes = nodes_from_ciliumnodes(recordings.objects(state, "ciliumnodes.json"))
    pods = pods_from_ciliumendpoints(recordings.objects(state, "ciliumendpoints.json"), nodes)
    owned = {
        node.public_key: {*node.addresses, *node.cilium_addresses}
        | {address for pod in pods if pod.node == node.name for address in pod.addresses}
        for node in nodes
    }
    _, peers = wireguard_from_dump(recordings.agent(state, "wg-show-all-dump.txt"))
    for peer in peers:
        assert {network.network_address for network in peer.allowed_ips} <= owned[peer.public_key]


@pytest.mark.parametrize("state", recordings.STATES)
def test_the_pods_of_every_recording(state: str) -> None:
    nodes = nodes_from_ciliumnodes(recordings.objects(state, "ciliumnodes.json"))
    pods = {pod.key: pod for pod in pods_from_ciliumendpoints(recordings.objects(state, "ciliumendpoints.json"), nodes)}
    assert (pods["default/pod-a"].node, pods["default/pod-b"].node) == ("rig-worker", "rig-worker2")
    assert all(len(pod.addresses) == (2 if state.endswith("dual") else 1) for pod in pods.values())


def cilium_node(**spec: Any) -> dict[str, Any]:
    addresses = [{"type": "InternalIP", "ip": "172.18.0.2"}, {"type": "ExternalIP", "ip": "203.0.113.7"}]
    return {"metadata": {"name": "one"}, "spec": {"addresses": addresses} | spec}


def test_every_kind_of_address_has_its_place() -> None:
    node = node_from_ciliumnode(
        cilium_node(encryption={"key": 0}, ingress={"ipv4": "10.0.0.9"}, health={"ipv4": "", "ipv6": "fd00::8"})
    )
    assert [str(address) for address in node.external_addresses] == ["203.0.113.7"]
    assert [str(address) for address in node.cilium_addresses] == ["fd00::8", "10.0.0.9"]
    assert [str(address) for address in node.health_addresses] == ["fd00::8"]
    assert [str(address) for address in node.ingress_addresses] == ["10.0.0.9"]
    assert (node.encryption_key, node.public_key, node.pod_cidrs) == (0, None, ())


def test_of_each_family_an_external_address_stands_for_internal_ones_that_are_missing() -> None:
    pairs = [("InternalIP", "fd00::2"), ("ExternalIP", "203.0.113.7"), ("ExternalIP", "2001:db8::7")]
    node = node_from_ciliumnode(cilium_node(addresses=[{"type": kind, "ip": ip} for kind, ip in pairs]))
    assert [str(address) for address in node.addresses] == ["fd00::2", "203.0.113.7"]
    (pod,) = pods_from_ciliumendpoints([endpoint("203.0.113.7")], [node])
    assert pod.node == "one"


def test_the_networks_of_pools_are_the_nodes_too() -> None:
    allocated = [
        {"pool": "default", "cidrs": ["10.10.0.0/27"]},
        {"pool": "jumbo", "cidrs": ["10.20.0.0/27", "fd00::/96"]},
    ]
    node = node_from_ciliumnode(cilium_node(ipam={"podCIDRs": None, "pools": {"allocated": allocated}}))
    assert [str(cidr) for cidr in node.pod_cidrs] == ["10.10.0.0/27", "10.20.0.0/27", "fd00::/96"]


@pytest.mark.parametrize("name", KEY_ANNOTATIONS)
def test_a_key_is_read_under_both_names(name: str) -> None:
    raw = cilium_node()
    raw["metadata"]["annotations"] = {name: "key", "other": "thing"}
    assert node_from_ciliumnode(raw).public_key == "key"


def test_the_names_of_the_annotation_are_those_that_are_expected() -> None:
    config = CiliumConfig(version="1.20.3", encryption=True, families=frozenset({IPFamily.V4}))
    assert expectations_for(config).key_annotations == KEY_ANNOTATIONS


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({}, "an object of kind CiliumNode has no 'metadata'"),
        ({"metadata": {"name": "one"}}, "the CiliumNode one has no 'spec'"),
        (cilium_node(addresses=[]), "the CiliumNode one publishes neither InternalIP nor ExternalIP"),
        (cilium_node(addresses=None), "publishes neither InternalIP nor ExternalIP"),
        (cilium_node(addresses="x"), r"holds no list at \.spec\.addresses"),
        (cilium_node(health={"ipv4": 7}), r"holds no text at \.spec\.health\.ipv4"),
        (cilium_node(encryption={"key": "much"}), "which is no number"),
        (cilium_node(encryption=[]), r"holds no object at \.spec\.encryption"),
    ],
)
def test_nodes_that_are_not_understood(raw: dict[str, Any], problem: str) -> None:
    with pytest.raises(ObservationError, match=problem):
        node_from_ciliumnode(raw)


def test_no_node_at_all_is_no_observation() -> None:
    with pytest.raises(ObservationError, match="no node runs Cilium"):
        nodes_from_ciliumnodes([])


def endpoint(node: str) -> dict[str, Any]:
    networking = {"node": node, "addressing": [{"ipv4": "10.0.0.1"}]}
    return {"metadata": {"name": "web", "namespace": "shop"}, "status": {"networking": networking}}


def test_a_pod_on_an_unknown_node_is_an_error() -> None:
    with pytest.raises(ObservationError, match=r"the CiliumEndpoint web is on a node 172\.18\.0\.9 that no CiliumNode"):
        pods_from_ciliumendpoints([endpoint("172.18.0.9")], [node_from_ciliumnode(cilium_node())])


def test_a_pod_without_an_address_yet_is_left_out() -> None:
    young = {"metadata": {"name": "web", "namespace": "shop"}}
    nodes = [node_from_ciliumnode(cilium_node())]
    (pod,) = pods_from_ciliumendpoints([young, young | {"status": {}}, endpoint("172.18.0.2")], nodes)
    assert (pod.key, pod.node) == ("shop/web", "one")


@pytest.mark.parametrize("state", ["v1.15/on", "v1.13/crash"])
def test_facts_of_kubernetes_nodes(state: str) -> None:
    facts = {node.name: node for node in map(node_facts, recordings.objects(state, "nodes.json"))}
    assert set(facts) == {"rig-control-plane", "rig-worker", "rig-worker2"}
    assert not any(node.cordoned for node in facts.values())


def test_taints_and_cordons() -> None:
    taints = [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute"}]
    raw = {
        "metadata": {"name": "one"},
        "spec": {"unschedulable": True, "taints": taints},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    facts = node_facts(raw)
    assert (facts.ready, facts.cordoned, facts.taints) == (False, True, ("a=b:NoSchedule", "c:NoExecute"))


def test_facts_of_pods() -> None:
    facts = {pod.name: pod for pod in map(pod_facts, recordings.objects("v1.15/on", "pods.json"))}
    pod = facts["pod-a"]
    assert (pod.namespace, pod.node, pod.phase, pod.ready, pod.host_network) == (
        "default", "rig-worker", "Running", True, False,
    )  # fmt: skip
    assert pod.addresses
    assert any(pod.host_network for pod in facts.values())


def test_a_crashing_agent_says_why_it_waits() -> None:
    facts = [pod_facts(pod) for pod in recordings.objects("v1.13/crash", "pods.json")]
    agents = [pod for pod in facts if "CrashLoopBackOff" in pod.waiting]
    assert agents
    assert not any(pod.ready for pod in agents)
