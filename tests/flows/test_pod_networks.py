"""The networks of all pods: all addresses are in them, and they are few."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ciliumwg.flows.pod_networks import MOST, pod_networks
from pytest_ciliumwg.model.cluster import Node, Pod


def node(*cidrs: str, ingress: str = "") -> Node:
    ends = (ip_address(ingress),) if ingress else ()
    return Node(name="one", addresses=(), pod_cidrs=tuple(map(ip_network, cidrs)), ingress_addresses=ends)


def pod(*addresses: str) -> Pod:
    return Pod(name="web", namespace="default", node="one", addresses=tuple(map(ip_address, addresses)))


def test_neighbouring_networks_become_one() -> None:
    nodes = [node(f"10.244.{n}.0/24", f"fd00:10:244:{n:x}::/64") for n in range(4)]
    assert [str(network) for network in pod_networks(nodes, [])] == ["10.244.0.0/22", "fd00:10:244::/62"]


def test_what_ingress_sends_from_is_covered_too() -> None:
    networks = pod_networks([node("10.244.0.0/24", ingress="192.168.7.9")], [])
    assert [str(network) for network in networks] == ["10.244.0.0/24", "192.168.7.9/32"]


def test_a_pod_in_no_node_s_network_is_covered_too() -> None:
    networks = pod_networks([node("10.244.0.0/24")], [pod("192.168.7.9"), pod("10.244.0.5")])
    assert [str(network) for network in networks] == ["10.244.0.0/24", "192.168.7.9/32"]


def test_without_pods_there_is_none() -> None:
    assert pod_networks([node()], []) == ()


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=60))
def test_many_are_covered_by_few(numbers: list[int]) -> None:
    addresses = [ip_address(number) for number in numbers]
    networks = pod_networks([], [pod(str(address)) for address in addresses])
    assert len(networks) <= MOST
    assert all(any(address in network for network in networks) for address in addresses)
