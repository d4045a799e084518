"""Which pairs of nodes are tested: every node in both roles, both directions, the same ones each time."""

from __future__ import annotations

import time
from collections import Counter
from itertools import permutations

import pytest

from pytest_ciliumwg.flows.continuous import continuous_flows
from pytest_ciliumwg.flows.pairs import chosen_pairs
from pytest_ciliumwg.flows.plan import plan_flows, plan_openings, pod_flow, size_pairs
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.traffic import Protocol
from tests.flows.test_plan import DUAL, MTU, pods


@pytest.mark.parametrize(("nodes", "others"), [(5, 1), (5, 2), (9, 3), (64, 4), (200, 10), (1000, 4)])
def test_every_node_sends_and_serves_with_so_many_others(nodes: int, others: int) -> None:
    names = list(range(nodes))
    pairs = chosen_pairs(names, others)
    known = set(pairs)
    assert len(known) == len(pairs) < nodes * (nodes - 1)
    assert all((destination, source) in known and source != destination for source, destination in pairs)
    senders, servers = Counter(source for source, _ in pairs), Counter(destination for _, destination in pairs)
    assert senders.keys() == servers.keys() == set(names)
    assert min(senders.values()) >= others
    assert {(node, (node + 1) % nodes) for node in names} <= known
    assert len(pairs) <= 2 * others * nodes


def test_the_same_nodes_have_the_same_pairs() -> None:
    assert chosen_pairs(range(100), 4) == chosen_pairs(range(100), 4)
    ring = ((node, (node + step) % 100) for node in range(100) for step in (1, 99))
    assert chosen_pairs(range(100), 1) == tuple(ring)


@pytest.mark.parametrize("others", [None, 3, 4, 999])
def test_as_many_others_as_there_are_is_all(others: int | None) -> None:
    pairs = chosen_pairs("abcd", others)
    assert len(pairs) == 12
    assert set(pairs) == set(permutations("abcd", 2))


def test_sources_that_go_through_their_destinations_never_meet_at_one() -> None:
    destinations = [
        [destination for source, destination in chosen_pairs("abcde", None) if source == name] for name in "abcde"
    ]
    for at_once in zip(*destinations, strict=True):
        assert sorted(at_once) == list("abcde")


@pytest.mark.parametrize("nodes", [0, 1, 2])
def test_the_smallest_clusters(nodes: int) -> None:
    assert len(chosen_pairs(range(nodes), 1)) == nodes * (nodes - 1)


def test_flows_run_on_the_chosen_pairs_and_sizes_on_no_others() -> None:
    some = pods(9)
    chosen = {(source.node, destination.node) for source, destination in chosen_pairs(some, 2)}
    flows = plan_flows(some, DUAL, lambda pod, address: MTU, FlowNumbers(), others=2)
    assert {flow.pair for flow in flows if flow.purpose == "pair"} == chosen
    assert {flow.pair for flow in flows} == chosen
    assert {(one.node, other.node) for one, other in size_pairs(some)} <= chosen
    first = [flow for flow in flows if flow.purpose == "first"]
    assert Counter(frozenset(flow.pair) for flow in first) == Counter({frozenset(pair): 1 for pair in chosen})
    assert {flow.pair for flow in continuous_flows(some, IPFamily, FlowNumbers(), 2)} == chosen


def test_sessions_that_other_paths_need_are_opened_from_one_side() -> None:
    some, numbers = pods(6), FlowNumbers()
    flows = plan_flows(some, DUAL, lambda pod, address: MTU, numbers, others=1)
    assert plan_openings(flows, some, DUAL, numbers) == ()
    ends = [(some[0], some[3]), (some[3], some[0]), (some[0], some[1])]
    flows += tuple(pod_flow(numbers, "path", *pair, IPFamily.V4, Protocol.UDP, 64, 1) for pair in ends)
    added = plan_openings(flows, some, DUAL, numbers)
    assert [(flow.purpose, flow.pair) for flow in added] == [("first", ("node-0", "node-3"))]


def test_a_thousand_nodes_are_planned_quickly() -> None:
    some, began = pods(1000), time.process_time()
    pairs = chosen_pairs(some, 4)
    assert time.process_time() - began < 1
    assert 7900 <= len(pairs) <= 8000
    flows = plan_flows(some, DUAL, lambda pod, address: MTU, FlowNumbers(), others=4)
    assert Counter(flow.purpose for flow in flows)["pair"] == 6 * len(pairs)
