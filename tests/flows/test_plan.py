"""Which flows a run sends: every directed pair, family and protocol, each known by a number and a port of its own."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from itertools import permutations

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.flows.plan import HEADERS, last_fragment, plan_flows, plan_paths, pod_flow, size_pairs, with_next
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Node, Pod
from pytest_ciliumwg.model.traffic import Protocol

DUAL = frozenset(IPFamily)
MTU = 1400


def pod(number: int, families: frozenset[IPFamily] = DUAL) -> Pod:
    addresses: dict[IPFamily, IPAddress] = {
        IPFamily.V4: IPv4Address(0x0AF40000 + number),
        IPFamily.V6: IPv6Address((0xFD << 120) + number),
    }
    own = tuple(address for family, address in addresses.items() if family in families)
    return Pod(name=f"pod-{number}", namespace="test", node=f"node-{number}", addresses=own)


def pods(count: int) -> list[Pod]:
    return [pod(number) for number in range(count)]


@pytest.mark.parametrize("count", [2, 3, 16])
def test_every_directed_pair_family_and_protocol_once(count: int) -> None:
    flows = plan_flows(pods(count), DUAL, lambda pod, address: MTU, FlowNumbers())
    planned = Counter((flow.pair, flow.family, flow.protocol) for flow in flows if flow.purpose == "pair")
    pairs = permutations([f"node-{number}" for number in range(count)], 2)
    assert planned == Counter(
        (pair, family, protocol) for pair in pairs for family in IPFamily for protocol in Protocol
    )


@pytest.mark.parametrize(("nodes", "count", "streams"), [(14, 5, 3), (15, 3, 2), (22, 3, 2), (23, 2, 1)])
def test_with_many_pairs_each_flow_has_fewer_messages(nodes: int, count: int, streams: int) -> None:
    flows = plan_flows(pods(nodes), frozenset({IPFamily.V4}), lambda pod, address: MTU, FlowNumbers())
    counts = {(flow.protocol is Protocol.TCP, flow.count) for flow in flows if flow.purpose == "pair"}
    assert counts == {(False, count), (True, streams)}
    assert {flow.count for flow in flows if flow.purpose == "load"} == {150}


def test_numbers_are_the_flows_own_and_ports_too() -> None:
    flows = plan_flows(pods(5), DUAL, lambda pod, address: MTU, FlowNumbers())
    assert len({flow.id for flow in flows}) == len(flows)
    assert len({(flow.destination, flow.protocol, flow.port) for flow in flows}) == len(flows)


def test_one_side_alone_opens_the_session_of_a_pair() -> None:
    first = [
        flow for flow in plan_flows(pods(4), DUAL, lambda pod, address: MTU, FlowNumbers()) if flow.purpose == "first"
    ]
    assert Counter(frozenset(flow.pair) for flow in first) == Counter(
        {frozenset(pair): 1 for pair in permutations([f"node-{number}" for number in range(4)], 2)}
    )


def test_sizes_are_around_what_the_route_carries() -> None:
    flows = plan_flows(pods(2), frozenset({IPFamily.V6}), lambda pod, address: MTU, FlowNumbers())
    sizes = {flow.payload_size for flow in flows if flow.purpose == "size"}
    fits = MTU - HEADERS[IPFamily.V6]
    assert sizes == {1, fits - 1, fits, fits + 1, 2 * fits}
    assert {flow.payload_size for flow in flows if flow.dont_fragment} == {fits}


def test_a_family_that_is_not_asked_for_is_not_planned() -> None:
    flows = plan_flows(pods(3), frozenset({IPFamily.V6}), lambda pod, address: MTU, FlowNumbers())
    assert {flow.family for flow in flows} == {IPFamily.V6}


def test_next_and_size_pairs() -> None:
    three = pods(3)
    assert [(a.node, b.node) for a, b in with_next(three)] == [
        ("node-0", "node-1"), ("node-1", "node-2"), ("node-2", "node-0"),
    ]  # fmt: skip
    assert len(size_pairs(three)) == 6
    assert len(size_pairs(pods(2))) == 2


def test_a_pod_without_an_address_is_named() -> None:
    with pytest.raises(ProviderError, match=r"test/pod-1 on node node-1 has no IPv6 address"):
        pod_flow(FlowNumbers(), "pair", pod(0), pod(1, frozenset({IPFamily.V4})), IPFamily.V6, Protocol.UDP, 100, 1)


def test_nodes_that_take_part_in_node_encryption_meet_though_others_are_between_them() -> None:
    four = pods(4)
    keys = (0, 255, 0, 255)
    addresses = {pod.node: (IPv4Address(0xAC120002 + number),) for number, pod in enumerate(four)}
    nodes = [
        Node(name=pod.node, addresses=addresses[pod.node], encryption_key=key)
        for pod, key in zip(four, keys, strict=True)
    ]
    flows = plan_paths(four, nodes, {}, frozenset({IPFamily.V4}), frozenset({"node-to-node"}), FlowNumbers())
    promised = {flow.pair for flow in flows if flow.promised and flow.path == "node-to-node"}
    assert promised == {("node-1", "node-3"), ("node-3", "node-1")}


def test_each_service_has_one_flow_of_a_protocol_also_where_nodes_opted_out_of_node_encryption() -> None:
    three = pods(3)
    nodes = [
        Node(name=pod.node, addresses=(IPv4Address(0xAC120002 + at),), encryption_key=key)
        for at, (pod, key) in enumerate(zip(three, (0, 255, 255), strict=True))
    ]
    services = {pod.key: (IPv4Address(0x0A600000 + at),) for at, pod in enumerate(three)}
    flows = plan_paths(three, nodes, services, frozenset({IPFamily.V4}), frozenset({"pod-to-pod"}), FlowNumbers())
    ends = [(flow.destination, flow.protocol, flow.port) for flow in flows if flow.path == "pod-to-service"]
    assert len(ends) == len(set(ends)) == 2 * len(three)


@pytest.mark.parametrize(
    ("family", "payload", "mtu", "last"),
    [
        (IPFamily.V4, 1392, 1420, 0),
        (IPFamily.V4, 1393, 1420, 1),
        (IPFamily.V4, 1399, 1420, 7),
        (IPFamily.V4, 1400, 1420, 8),
        (IPFamily.V4, 2784, 1420, 1392),
        (IPFamily.V4, 2792, 1420, 1400),
        (IPFamily.V4, 1377, 1405, 0),
        (IPFamily.V4, 1378, 1405, 2),  # 1385 bytes of room, of which 1384 are a multiple of 8
        (IPFamily.V6, 1372, 1420, 0),
        (IPFamily.V6, 1373, 1420, 13),  # 1380 bytes of room, of which a fragment's header takes 8
        (IPFamily.V6, 1, 1280, 0),
    ],
)
def test_last_fragment(family: IPFamily, payload: int, mtu: int, last: int) -> None:
    assert last_fragment(family, payload, mtu) == last


def test_what_is_dropped_in_fragments_is_marked() -> None:
    def dropped(family: IPFamily, protocol: Protocol, last: int) -> bool:
        return bool(last) and protocol is Protocol.ICMP and family is IPFamily.V6

    flows = plan_flows(pods(2), DUAL, lambda pod, address: MTU, FlowNumbers(), dropped)
    marked = {(flow.family, flow.protocol, flow.payload_size) for flow in flows if flow.dropped_by_design}
    fits = MTU - HEADERS[IPFamily.V6]
    assert marked == {(IPFamily.V6, Protocol.ICMP, fits + 1), (IPFamily.V6, Protocol.ICMP, 2 * fits)}
