"""Which flows the profile extended adds, where they go, and which of them are promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from pytest_ciliumwg.flows.extended import QUESTIONS_AGAIN, plan_extended
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPFamily, Node, Pod
from pytest_ciliumwg.model.traffic import Flow, Path, Protocol
from pytest_ciliumwg.providers.targets import (
    BEHIND_HOST_PORT,
    BEHIND_NODE_PORTS,
    BY_THIRD,
    MOST_SERVERS,
    NO_TARGETS,
    Dns,
    Outside,
    Targets,
)
from tests.flows.test_plan import pods
from tests.watch.made import clear

CLIENT = IPv4Address("172.18.0.200")
V4 = frozenset({IPFamily.V4})
ALL: frozenset[Path] = frozenset(
    ("pod-to-pod", "node-to-pod", "pod-to-dns", "pod-to-health", "pod-to-nodeport", "pod-to-hostport", "north-south")
)


def nodes(members: Sequence[Pod], opted_out: str = "") -> list[Node]:
    return [
        Node(
            name=pod.node,
            addresses=(IPv4Address(0xAC120002 + at),),
            health_addresses=(IPv4Address(0x0AF4FF00 + at),),
            encryption_key=0 if pod.node == opted_out else 255,
        )
        for at, pod in enumerate(members)
    ]


def targets(members: Sequence[Pod], dns: tuple[str, ...] = ("node-2",)) -> Targets:
    ports = [(port, protocol) for port in BEHIND_NODE_PORTS for protocol in (Protocol.TCP, Protocol.UDP)]
    return Targets(
        node_ports={
            pod.key: {key: 30000 + 8 * at + place for place, key in enumerate(ports)} for at, pod in enumerate(members)
        },
        host_port=20080,
        dns=Dns((IPv4Address("10.96.0.10"),), dns, "cluster.local"),
        outside=Outside((CLIENT,), None),  # type: ignore[arg-type]
    )


def plan(count: int = 3, promised: frozenset[Path] = ALL, opted_out: str = "", **how: Any) -> list[Flow]:
    members = pods(count)
    given = how.pop("targets", targets(members))
    replaced = how.pop("replaced", True)
    members_nodes = nodes(members, opted_out)
    return list(plan_extended(members, members_nodes, given, V4, promised, FlowNumbers(), replaced=replaced))


def of(flows: Sequence[Flow], path: Path) -> list[Flow]:
    return [flow for flow in flows if flow.path == path]


def test_how_many_flows_each_path_has() -> None:
    counts = Counter(flow.path for flow in plan())
    assert counts == {
        "pod-to-nodeport": 18, "pod-to-hostport": 6, "pod-to-health": 3, "north-south": 6, "pod-to-outside": 6,
        "pod-to-dns": 4,
    }  # fmt: skip
    assert len({flow.id for flow in plan()}) == sum(counts.values())


def test_without_targets_there_are_health_endpoints_alone() -> None:
    assert {flow.path for flow in plan(targets=NO_TARGETS)} == {"pod-to-health"}


def test_a_node_port_leads_from_each_node_to_a_listener_of_the_flows_own() -> None:
    found = [flow for flow in of(plan(), "pod-to-nodeport") if flow.source_node == "node-0"]
    assert {str(flow.destination) for flow in found} == {"172.18.0.2", "172.18.0.3", "172.18.0.4"}
    assert {flow.pair for flow in found} == {("node-0", "node-1")}
    listeners = {(flow.protocol, flow.served_at, flow.served_port) for flow in found}
    assert len(listeners) == len(found)
    assert all(30000 <= flow.port < 30032 for flow in found)


def test_two_nodes_have_no_third_one() -> None:
    assert BY_THIRD not in {flow.served_port for flow in of(plan(2, targets=targets(pods(2))), "pod-to-nodeport")}


def test_of_a_large_cluster_the_first_nodes_alone_are_served() -> None:
    flows = plan(MOST_SERVERS + 4)
    assert len({flow.source_node for flow in of(flows, "pod-to-health")}) == MOST_SERVERS


def test_a_host_port_is_the_nodes() -> None:
    flow = of(plan(), "pod-to-hostport")[0]
    assert (str(flow.destination), flow.port, flow.served_port) == ("172.18.0.3", 20080, BEHIND_HOST_PORT)


@pytest.mark.parametrize(
    ("replaced", "path", "promised"),
    [
        (True, "pod-to-nodeport", 18),
        # By kube-proxy: neither by a third node, nor where one of the two opted out.
        (False, "pod-to-nodeport", 4),
        (True, "pod-to-hostport", 2),
        (True, "north-south", 2),
        (True, "pod-to-health", 3),
        (True, "pod-to-dns", 4),
        (True, "pod-to-outside", 0),
    ],
)
def test_what_is_promised_where_a_node_opted_out(replaced: bool, path: Path, promised: int) -> None:
    assert sum(flow.promised for flow in of(plan(opted_out="node-0", replaced=replaced), path)) == promised


def test_in_a_tunnel_what_comes_from_outside_is_promised_for_all_nodes() -> None:
    flows = plan(promised=frozenset({"pod-to-pod", "north-south"}), opted_out="node-0")
    assert all(flow.promised for flow in of(flows, "north-south"))


def test_nobody_asks_the_dns_of_its_own_node() -> None:
    flows = of(plan(), "pod-to-dns")
    assert {flow.pair for flow in flows} == {("node-0", "node-2"), ("node-1", "node-2")}
    assert {(flow.port, flow.dns_domain, flow.served_by) for flow in flows} == {(53, "cluster.local", ())}


def test_a_dns_of_several_pods_is_asked_again_and_any_of_them_may_answer() -> None:
    flows = of(plan(targets=targets(pods(3), ("node-0", "node-2"))), "pod-to-dns")
    assert len(flows) == QUESTIONS_AGAIN * 3 * 2
    assert {flow.served_by for flow in flows} == {("node-0", "node-2")}


def test_only_between_client_and_entry_is_it_clear_by_design() -> None:
    flow = of(plan(), "north-south")[0]
    entry, server = flow.pair
    by_design = [(entry, False, "request"), (entry, True, "reply")]
    between = [(entry, True, "request"), (entry, False, "reply"), (server, False, "request"), (server, True, "reply")]
    for places, expected in ((by_design, True), (between, False)):
        for node, outgoing, direction in places:
            seen = clear(flow.id, node=node, outgoing=outgoing, direction=direction)
            assert flow.clear_by_design(seen) is expected
            assert not replace(flow, path="pod-to-nodeport").clear_by_design(seen)
