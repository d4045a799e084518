"""For checks of your own, with --ciliumwg: see docs/extending.md. Their types are in pytest_ciliumwg.api."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.own_traffic import OwnTraffic
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.cluster import Node
from pytest_ciliumwg.providers.base import Cluster
from pytest_ciliumwg.session.hooks import Conformance
from pytest_ciliumwg.verdict.judge import Judge, Judgement


@pytest.fixture(scope="session")
def ciliumwg_cluster(cluster: Cluster) -> Cluster:
    """The cluster under test, standing: its nodes, pods, declared and actual configuration."""
    return cluster


@pytest.fixture(scope="session")
def ciliumwg_nodes(nodes: tuple[Node, ...]) -> Sequence[Node]:
    """All nodes that run Cilium, as Kubernetes and Cilium publish them: addresses, public key, pod CIDRs."""
    return nodes


@pytest.fixture
def ciliumwg_states(observed: Observed) -> Observed:
    """The nodes under test from the inside: cilium_wg0, its peers, rules, routes, redirects.

    `for state in ciliumwg_states.states("peers")` yields each node of which that could be read; the others make the
    check inconclusive. `.devices()` yields each node with its WireGuard device.
    """
    return observed


@pytest.fixture(scope="session")
def ciliumwg_flows(judge: Judge) -> Sequence[Judgement]:
    """The test flows, sent inside one watch on all nodes, each with its delivery, its verdict, and why."""
    return judge.judgements


@pytest.fixture
def ciliumwg_watch(conformance: Conformance, cluster: Cluster, expected: Expectations) -> Callable[[], OwnTraffic]:
    """Opens a watch on all nodes for traffic of your own, which proves all the time that it hears.

    Write `with ciliumwg_watch() as watch:` and run anything inside of it, for instance `watch.run(pod, command)`;
    after it `watch.assert_encrypted(ciliumwg_verify, one_pod, other_pod, at_least=BYTES)`.
    """
    return lambda: OwnTraffic(cluster, expected.listen_port, conformance.run.progress)


@pytest.fixture
def ciliumwg_verify(verify: Verify) -> Verify:
    """Collects what a check verifies, place by place: `ciliumwg_verify(holds, where=…, expected=…, seen=…)`.

    It alone decides the outcome: a check that verified nothing is inconclusive, never a pass. `.unmeasured(where, why)`
    is for what should have been measured and was not, `.unsupported(where, why)` for what can never be told here.
    `.held(places)` counts places at which it holds, where there are too many to name each.
    """
    return verify
