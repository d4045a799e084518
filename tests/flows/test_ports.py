"""Ports of flows are clear of what others use, and tell flows to one destination apart, in clusters of any size."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.flows.continuous import churn_flows, continuous_flows
from pytest_ciliumwg.flows.plan import plan_flows
from pytest_ciliumwg.flows.ports import PORTS, FlowNumbers
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.providers.base import SERVICE_PORT
from tests.flows.test_plan import DUAL, MTU, pods

FORBIDDEN = {
    "ephemeral": range(32768, 61000),
    "NodePort": range(30000, 32768),
    "Kubernetes and Cilium": range(1, 10260),
    "Services of test pods": range(SERVICE_PORT, SERVICE_PORT + 1),
    "WireGuard": range(51871, 51872),
}


@pytest.mark.parametrize(("kind", "nodes"), [("one-shot", 3), ("one-shot", 64), ("continuous", 3), ("continuous", 33)])
def test_ports(kind: str, nodes: int) -> None:
    made, numbers = pods(nodes), FlowNumbers()
    if kind == "one-shot":
        flows = plan_flows(made, DUAL, lambda pod, address: MTU, numbers)
    else:
        flows = continuous_flows(made, IPFamily, numbers)
        flows += churn_flows(made, IPFamily, numbers)
    assert [flow.id for flow in flows] == list(range(len(flows)))
    assert len({(flow.destination, flow.protocol, flow.port) for flow in flows}) == len(flows)
    used = {flow.port for flow in flows}
    assert {name for name, ports in FORBIDDEN.items() if used & set(ports)} == set()


def test_a_small_cluster_s_ports_are_unique_whatever_the_destination() -> None:
    flows = plan_flows(pods(16), DUAL, lambda pod, address: MTU, FlowNumbers())
    assert len({flow.port for flow in flows}) == len(flows)


def test_more_flows_to_one_destination_than_ports_are_refused() -> None:
    numbers, destination = FlowNumbers(), ip_address("10.244.1.10")
    taken = {numbers.take(destination, Protocol.UDP)[1] for _ in PORTS}
    assert taken == set(PORTS)
    numbers.take(destination, Protocol.TCP)
    with pytest.raises(ProviderError, match=r"udp flows go to 10.244.1.10: test fewer nodes"):
        numbers.take(destination, Protocol.UDP)
