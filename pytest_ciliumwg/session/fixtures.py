"""The fixtures that suites use."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_ciliumwg.agent_client.client import Agent
from pytest_ciliumwg.changes.apply import ChangeResult
from pytest_ciliumwg.checks.check import Check
from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.mtus import MtuBase, MtuBases, WhatItDoes, measured_with_largest, mtu_base
from pytest_ciliumwg.checks.paths import PathChecks
from pytest_ciliumwg.checks.readings import Readings
from pytest_ciliumwg.checks.verify import InconclusiveError, Verify
from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.expect import Expectations, expectations_for, mesh_peers
from pytest_ciliumwg.flows.extended import plan_extended
from pytest_ciliumwg.flows.plan import plan_flows, plan_openings, plan_paths
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import CiliumConfig, IPAddress, IPFamily, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.providers.base import Cluster, nodes_under_test
from pytest_ciliumwg.providers.recorded import Recorded
from pytest_ciliumwg.providers.settling import read_settled
from pytest_ciliumwg.providers.targets import NO_TARGETS, Targets
from pytest_ciliumwg.session.hooks import VERIFY, Conformance
from pytest_ciliumwg.session.stages import INITIAL, Stage
from pytest_ciliumwg.verdict.judge import Judge
from pytest_ciliumwg.waiting import for_each
from pytest_ciliumwg.watch.one_shot import measure


@pytest.fixture(scope="session")
def conformance(pytestconfig: pytest.Config) -> Conformance:
    """The run itself."""
    plugin = pytestconfig.pluginmanager.getplugin("ciliumwg-conformance")
    assert isinstance(plugin, Conformance)  # noqa: S101 - these fixtures are loaded together with it
    return plugin


@pytest.fixture(scope="session")
def settings(conformance: Conformance) -> Settings:
    """What the run was asked for."""
    return conformance.settings


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, conformance: Conformance) -> Stage:
    """The stage of the run: the cluster as it was found, or what a change has made of it."""
    found: Stage = getattr(request, "param", INITIAL)
    conformance.run.enter(found)
    return found


@pytest.fixture(scope="session")
def change(conformance: Conformance, stage: Stage) -> ChangeResult:
    """The change that led to the stage, with all that was seen meanwhile."""
    return conformance.run.made[stage.name]


@pytest.fixture(scope="session")
def cluster(conformance: Conformance, stage: Stage) -> Cluster:
    """The cluster under test, standing."""
    assert conformance.run.cluster is not None  # noqa: S101 - it stands before the first check runs
    made = conformance.run.made.get(stage.name)
    if made is not None and made.error:
        pytest.skip(f"the change {made.change.name} was not made (see change.done)")
    return conformance.run.cluster


@pytest.fixture(scope="session")
def expected(cluster: Cluster) -> Expectations:
    """What must hold for the declared version and configuration."""
    return expectations_for(cluster.declared)


@pytest.fixture(scope="session")
def first_reading(conformance: Conformance, cluster: Cluster, stage: Stage, expected: Expectations) -> Reading:
    """The cluster before the flows: in the stage `untouched` as it was before anything of ours was in it."""
    if stage.untouched:
        if cluster.untouched is None:
            pytest.skip("this cluster's provider did not look at it before it put our agents in")
        return cluster.untouched
    if isinstance(cluster, Recorded):
        conformance.record.first = cluster.reading()
        return conformance.record.first
    newcomers = cluster.test_pods() if expected.pods_in_allowed_ips else ()
    reading = read_settled(cluster, nodes_under_test(cluster), conformance.run.progress, newcomers=newcomers)
    if stage.change is None and cluster.untouched is not None:
        conformance.record.touched = tuple(Readings(cluster.untouched, reading).changes())
    if stage.change is None:
        conformance.record.first = reading
    return reading


@pytest.fixture(scope="session")
def nodes(first_reading: Reading, cluster: Cluster) -> tuple[Node, ...]:
    """All nodes that run Cilium, as published."""
    _refuse_unknown(cluster, "nodes")
    return first_reading.nodes


def _refuse_unknown(cluster: Cluster, what: str) -> None:
    """Conclude nothing from what a record does not tell.

    Raises:
        InconclusiveError: it does not tell that.
    """
    if isinstance(cluster, Recorded) and (why := cluster.missing(what)):
        raise InconclusiveError(why)


@pytest.fixture(scope="session")
def readings(request: pytest.FixtureRequest, stage: Stage, first_reading: Reading) -> Readings:
    """The cluster before the flows, and after them where they could be sent."""
    judge = _judge_of(request, stage)
    return Readings(first_reading, judge.measurement.last if judge else None)


def _judge_of(request: pytest.FixtureRequest, stage: Stage) -> Judge | None:
    """The flows of a stage, judged; None where none could be sent, and before anything of ours is in the cluster."""
    if stage.untouched:
        return None
    try:
        judge: Judge = request.getfixturevalue("judge")
    except CiliumwgError:
        return None
    return judge


@pytest.fixture(scope="session")
def pods(readings: Readings, cluster: Cluster) -> tuple[Pod, ...]:
    """Every pod that was there all the time: what must be known of pods."""
    _refuse_unknown(cluster, "pods")
    return tuple(sorted(readings.pods, key=lambda pod: pod.key))


@pytest.fixture(scope="session")
def pods_ever(readings: Readings, cluster: Cluster) -> tuple[Pod, ...]:
    """Every pod that was there at any time: what may be known of pods."""
    _refuse_unknown(cluster, "pods")
    return tuple(readings.pods_ever)


@pytest.fixture(scope="session")
def route_mtus(cluster: Cluster) -> Mapping[str, Mapping[str, int]]:
    """Test pod → address of another test pod → MTU of the route to it, in the pod's own kernel."""
    test_pods = cluster.test_pods()
    addresses = [(pod, str(ip)) for pod in test_pods for ip in pod.addresses]

    def ask(pod: Pod) -> dict[str, int]:
        others = [address for peer, address in addresses if peer is not pod]
        return Agent(cluster.pod_agent(pod)).route_mtus(others)

    return dict(zip([pod.key for pod in test_pods], for_each(ask, test_pods), strict=True))


@pytest.fixture(scope="session")
def targets(settings: Settings, cluster: Cluster) -> Targets:
    """Where the flows of the profile extended go; nowhere without that profile."""
    return cluster.targets() if "extended" in settings.profiles else NO_TARGETS


@pytest.fixture(scope="session")
def judge(
    conformance: Conformance,
    settings: Settings,
    stage: Stage,
    cluster: Cluster,
    nodes: tuple[Node, ...],
    expected: Expectations,
    first_reading: Reading,
    route_mtus: Mapping[str, Mapping[str, int]],
    targets: Targets,
) -> Judge:
    """All flows, run inside one watch, and judged; of a record what its captures show, without flows of ours."""
    if isinstance(cluster, Recorded):
        _refuse_unknown(cluster, "pods")
        judge = conformance.record.judges[stage.name] = Judge(cluster.captured(), nodes)
        return judge

    def mtu(pod: Pod, address: IPAddress) -> int:
        return route_mtus[pod.key][str(address)]

    pods, families, numbers = cluster.test_pods(), cluster.declared.families, FlowNumbers()
    flows = plan_flows(pods, families, mtu, numbers, expected.drops_fragments, settings.pairs)
    flows += plan_paths(pods, nodes, cluster.services(), families, expected.encrypted_paths, numbers)
    if "extended" in settings.profiles:
        promised, replaced = expected.encrypted_paths, cluster.declared.kube_proxy_replacement
        flows += plan_extended(pods, nodes, targets, families, promised, numbers, replaced=replaced)
    flows += plan_openings(flows, pods, families, numbers)
    other_pods = settings.other_pods != "off"
    progress = conformance.run.progress
    port, outside = expected.listen_port, targets.outside.agent if targets.outside else None
    measurement = measure(cluster, flows, first_reading.states, port, progress, other_pods=other_pods, outside=outside)
    judge = conformance.record.judges[stage.name] = Judge(measurement, nodes)
    return judge


@pytest.fixture(scope="session")
def record(cluster: Cluster) -> Recorded:
    """The record of a cluster that is judged."""
    assert isinstance(cluster, Recorded)  # noqa: S101 - checks of a record are left out of all other runs
    return cluster


@pytest.fixture(scope="session")
def mesh(readings: Readings, expected: Expectations) -> Mapping[str, str]:
    """Public key → what the peer is called, of the peers that are nodes of other clusters."""
    looks = [readings.first, *([readings.last] if readings.last else [])]
    found: dict[str, str] = {}
    for look in looks:
        found |= mesh_peers(look.states.values(), look.nodes, readings.pods_ever, expected)
    return found


@pytest.fixture(scope="session")
def node_configs(conformance: Conformance, stage: Stage, cluster: Cluster) -> Mapping[str, CiliumConfig]:
    """Node → the configuration that its Cilium runs with."""
    found = cluster.node_configs()
    if stage.change is None:
        conformance.record.configs = found
    return found


@pytest.fixture
def mtu_bases(nodes: tuple[Node, ...], node_configs: Mapping[str, CiliumConfig], expected: Expectations) -> MtuBases:
    """From which MTU the Cilium of each node makes all others."""
    by_name = {node.name: node for node in nodes}

    def of(state: NodeState) -> MtuBase:
        return mtu_base(state, by_name[state.node], node_configs.get(state.node, expected.config), expected)

    return of


@pytest.fixture
def route_mtus_told(node_configs: Mapping[str, CiliumConfig]) -> Mapping[str, int]:
    """Node → the MTU of the routes in its pods that its Cilium is told; 0 where it makes one."""
    return {node: config.route_mtu for node, config in node_configs.items()}


@pytest.fixture
def what_it_does(request: pytest.FixtureRequest, stage: Stage) -> WhatItDoes:
    """What the largest packets did from and to a node, where flows could be sent."""
    return measured_with_largest(_judge_of(request, stage))


@pytest.fixture
def verify(request: pytest.FixtureRequest) -> Verify:
    """Collects what the check verifies, place by place; it alone decides the outcome."""
    check = Check.of(request.node)
    verify = Verify(of_measurement=check is not None and check.about == "measurement")
    request.node.stash[VERIFY] = verify
    return verify


@pytest.fixture
def of_path(judge: Judge, targets: Targets, expected: Expectations, verify: Verify) -> PathChecks:
    """The flows of one of the paths of the profile extended, for this check."""
    return PathChecks(judge, targets, expected, verify)


@pytest.fixture(params=list(Protocol), ids=lambda protocol: protocol.value)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """Each protocol of the pair flows."""
    found: Protocol = request.param
    return found


@pytest.fixture(params=list(IPFamily), ids=lambda family: family.value)
def family(request: pytest.FixtureRequest, cluster: Cluster) -> IPFamily:
    """Each IP family of the cluster."""
    found: IPFamily = request.param
    if found not in cluster.declared.families:
        pytest.skip(f"the cluster has no IP{found.value}; choose it with --ciliumwg-ip-family=dual")
    return found


@pytest.fixture
def observed(readings: Readings, verify: Verify) -> Observed:
    """The nodes from the inside, for this check."""
    return Observed(readings, verify)
