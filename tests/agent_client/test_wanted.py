"""What a node's watch is told to look for: its own flows, and the addresses of all test pods."""

from __future__ import annotations

from itertools import permutations

import pytest

from pytest_ciliumwg.agent.capture.frames import UNKNOWN_FLOW, FlowIndex, Hit
from pytest_ciliumwg.agent_client.wanted import Wanted
from pytest_ciliumwg.flows.plan import pod_flow
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.traffic import Flow, Protocol
from tests.agent import frames_made as make
from tests.flows.test_plan import pods

NUMBERS = FlowNumbers()
FLOWS = [
    pod_flow(NUMBERS, "pair", source, destination, IPFamily.V4, Protocol.UDP, 64, 1)
    for source, destination in permutations(pods(3), 2)
]
THIRD = next(flow.source_node for flow in FLOWS if flow.source_node not in FLOWS[0].pair)


def index(node: str) -> FlowIndex:
    """What the agent on a node makes of it."""
    wanted = Wanted.of(FLOWS)
    rows = [
        (number, 17, make.packed(source), make.packed(destination), port)
        for number, _, source, destination, port in wanted.rows(node)
    ]
    return FlowIndex(make.CANARIES, rows, frozenset(map(make.packed, wanted.exclusive)))


def test_requests_grow_with_nodes_and_not_with_pairs() -> None:
    wanted = Wanted.of(FLOWS)
    for node, flows in wanted.by_node.items():
        assert [row[0] for row in wanted.rows(node)] == [flow.id for flow in FLOWS if node in flow.pair]
        assert len(flows) == 4
        ends = [end for flow in flows for end in zip(flow.pair, (flow.source, flow.destination), strict=True)]
        assert wanted.own(node) == list({str(address) for at, address in ends if at == node})
    assert len(wanted.exclusive) == 3
    assert not wanted.rows("a node without flows")
    assert not wanted.own("a node without flows")


@pytest.mark.parametrize("flow", FLOWS[:1])
def test_a_third_node_knows_other_nodes_flows_too(flow: Flow) -> None:
    ends = make.IP(src=str(flow.source), dst=str(flow.destination)) / make.UDP(sport=40000, dport=flow.port)
    marked, short = (make.wire(ends / load) for load in (make.payload(flow.id, 64), make.Raw(b"x")))
    for node in flow.pair:
        assert index(node).find_all(short) == [Hit(flow.id, 0, "header")]
    assert index(THIRD).find_all(marked) == [Hit(flow.id, 0, "canary")]
    assert index(THIRD).find_all(short) == [Hit(UNKNOWN_FLOW, 0, "header")]


def test_messages_too_short_for_a_canary_are_announced() -> None:
    source, destination = pods(2)
    tiny = pod_flow(NUMBERS, "size", source, destination, IPFamily.V4, Protocol.UDP, 1, 1)
    assert not Wanted.of(FLOWS).headers
    assert Wanted.of([*FLOWS, tiny]).headers
