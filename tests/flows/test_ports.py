"""Ports of flows are clear of what others use, and tell flows to one destination apart, in clusters of any size."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.flows.continuous import churn_flows, continuous_flows
from pytest_ciliumwg.flows.plan import plan_flows
from pytest_ciliumwg.flows.ports import with_own_ports
from pytest_ciliumwg.model.cluster import IPFamily
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
    made = pods(nodes)
    if kind == "one-shot":
        planned = plan_flows(made, DUAL, lambda pod, address: MTU)
    else:
        planned = continuous_flows(made, IPFamily)
        planned += churn_flows(made, IPFamily, len(planned))
    flows = with_own_ports(planned)
    assert [flow.id for flow in flows] == [flow.id for flow in planned]
    assert len({(flow.destination, flow.protocol, flow.port) for flow in flows}) == len(flows)
    used = {flow.port for flow in flows}
    assert {name for name, ports in FORBIDDEN.items() if used & set(ports)} == set()


def test_a_small_cluster_s_ports_are_unique_whatever_the_destination() -> None:
    flows = with_own_ports(plan_flows(pods(16), DUAL, lambda pod, address: MTU))
    assert len({flow.port for flow in flows}) == len(flows)
