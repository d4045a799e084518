"""What each operation does to traffic while it is carried out, and that all is as it has to be afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from pytest_ciliumwg.errors import AgentError, ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.base import Cluster
from pytest_ciliumwg.providers.lab import LabCluster
from tests.lab.conftest import Raise
from tests.lab.tools import Sniffed, Stream, pinging, reach_each_other, shape, sniffing
from tests.patience import PATIENCE

RULE, REBUILDS, KEEPS = "1.13.18", "1.15.10", "1.20.3"
ALL = (RULE, REBUILDS, KEEPS)
WORKER = "lab-worker"


def watched(cluster: LabCluster, change: Callable[[], object]) -> tuple[Sniffed, Stream]:
    """What the worker's wire showed, and what was lost, while something was changed and the worker pinged the next."""
    lab = cluster.lab
    node = lab.node(WORKER)
    with sniffing(lab, node) as seen, pinging(lab, node, lab.next_to(node)) as stream:
        change()
    return seen, stream


@pytest.mark.thorough(but=("1.20.3",))
@pytest.mark.parametrize("version", ALL)
def test_restarted_agents_are_others_and_leave_all_as_it_was(raise_lab: Raise, version: str) -> None:
    cluster = raise_lab(version)
    before, shaped = cluster.snapshot(), shape(cluster)
    seen, stream = watched(cluster, lambda: cluster.operations.restart_agents([WORKER]))
    after = cluster.snapshot()
    assert not seen.clear()
    assert (stream.lost > 5) == cluster.lab.expected.restart_loss
    assert {name for name in after.agents if after.agents[name] != before.agents[name]} == {WORKER}
    assert after.agents[WORKER].image == version
    assert shape(cluster) == shaped


@pytest.mark.thorough(but=("1.15.10-clear1",))
@pytest.mark.parametrize(("version", "clear"), [(RULE, {"icmp--v4"}), (REBUILDS, set())])
def test_with_the_fallback_the_device_dies_with_the_agent(raise_lab: Raise, version: str, clear: set[str]) -> None:
    cluster = raise_lab(version, fallback=True)
    assert cluster.declared.userspace_fallback
    before = shape(cluster)
    index = cluster.state(WORKER).link
    seen, stream = watched(cluster, lambda: cluster.operations.restart_agents([WORKER]))
    assert seen.clear() == clear
    assert stream.lost > 5
    assert cluster.state(WORKER).link != index
    assert shape(cluster) == before
    reach_each_other(cluster.lab)


def test_the_fallback_exists_in_some_versions_only(raise_lab: Raise) -> None:
    with pytest.raises(ProviderError, match=r"1\.11 to 1\.16 only"):
        raise_lab(KEEPS, fallback=True)


@pytest.mark.thorough(but=("1.20.3",))
@pytest.mark.parametrize("version", [RULE, KEEPS])
def test_a_replaced_key_is_learned_by_all(raise_lab: Raise, version: str) -> None:
    cluster = raise_lab(version)
    before, shaped = cluster.snapshot(), shape(cluster)
    seen, _ = watched(cluster, lambda: cluster.operations.replace_key(WORKER))
    after = cluster.snapshot()
    assert {name for name in after.keys if after.keys[name] != before.keys[name]} == {WORKER}
    assert after.agents[WORKER].name != before.agents[WORKER].name
    assert not seen.clear()
    assert shape(cluster) == shaped
    reach_each_other(cluster.lab)


@pytest.mark.thorough(but=("1.15.10-clear1",))
@pytest.mark.parametrize(("version", "clear"), [(RULE, {"icmp--v4"}), (REBUILDS, set())])
def test_a_device_that_is_down_leaks_by_rule_alone(raise_lab: Raise, version: str, clear: set[str]) -> None:
    cluster = raise_lab(version, nodes=2)
    before = shape(cluster)

    def down_and_up() -> None:
        cluster.operations.device_down(WORKER)
        time.sleep(0.1)
        cluster.operations.device_up(WORKER)

    seen, _ = watched(cluster, down_and_up)
    assert seen.clear() == clear
    assert shape(cluster) == before
    reach_each_other(cluster.lab)


def test_a_blocked_port_loses_everything_and_leaks_nothing(raise_lab: Raise) -> None:
    cluster = raise_lab(KEEPS, nodes=2)

    def block() -> None:
        cluster.operations.block_port(WORKER)
        time.sleep(0.2)
        cluster.operations.unblock_port(WORKER)

    seen, stream = watched(cluster, block)
    assert not seen.clear()
    assert stream.lost >= 10
    reach_each_other(cluster.lab)


@pytest.mark.thorough(but=("1.20.3",))
@pytest.mark.parametrize("version", [RULE, KEEPS])
def test_pods_come_and_go_and_their_addresses_are_used_again(raise_lab: Raise, version: str) -> None:
    cluster = raise_lab(version)
    lab, shaped = cluster.lab, shape(cluster)
    pod = cluster.operations.create_pod(WORKER)
    assert json.loads(cluster.pod_agent(pod).exchange(b'{"op": "hello"}\n', timeout=PATIENCE))["ok"]
    assert pod in cluster.pods()
    assert pod not in cluster.test_pods()
    assert cluster.snapshot().pods[pod.key] == WORKER
    with sniffing(lab, lab.layout[0]) as seen:
        for address in pod.addresses:
            lab.run_in_pod(lab.layout[0], f"ping -n -c 1 -W 1 -p {b'icmp--v4'.hex()} {address}")
            lab.sandbox.run(f"ping -n -c 1 -W 1 {lab.layout[2].test_pod.pod.addresses[0]}", netns=pod.name)
    assert not seen.clear()
    cluster.operations.delete_pod(pod)
    assert shape(cluster) == shaped
    with pytest.raises(AgentError, match="cannot be reached"):
        cluster.pod_agent(pod).exchange(b'{"op": "hello"}\n', timeout=PATIENCE)
    with pytest.raises(ProviderError, match="deleted already"):
        cluster.operations.delete_pod(pod)
    assert cluster.operations.create_pod(WORKER).addresses == pod.addresses
    cluster.operations.restore()
    assert shape(cluster) == shaped


@pytest.mark.thorough(but=("1.20.3",))
@pytest.mark.parametrize("version", [RULE, KEEPS])
def test_a_node_is_drained_leaves_and_comes_back(raise_lab: Raise, version: str) -> None:
    cluster = raise_lab(version)
    lab, shaped, before = cluster.lab, shape(cluster), cluster.snapshot()
    extra = cluster.operations.create_pod("lab-worker2")
    cluster.operations.drain_node("lab-worker2")
    assert [pod.name for pod in cluster.pods() if pod.node == "lab-worker2"] == ["test-lab-worker2"]
    with pinging(lab, lab.layout[0], lab.layout[1]) as stream, sniffing(lab, lab.layout[0]) as seen:
        cluster.operations.remove_node("lab-worker2")
        assert cluster.snapshot().nodes == {"lab-control-plane": True, WORKER: True}
        assert len(cluster.nodes()) == len(cluster.test_pods()) == len(cluster.snapshot().keys) == 2
        assert len(cluster.state(WORKER).peers) == 1
        with pytest.raises(ProviderError, match="no node 'lab-worker2'"):
            cluster.state("lab-worker2")
        cluster.operations.add_node("lab-worker2")
    assert stream.lost <= 1
    assert not seen.clear()
    assert shape(cluster) == shaped
    after = cluster.snapshot()
    assert after.keys["lab-worker2"] != before.keys["lab-worker2"]
    assert extra.key not in after.pods
    reach_each_other(lab)
    cluster.operations.restore()
    assert shape(cluster) == shaped


def test_two_nodes_are_too_few_to_take_one_away(raise_lab: Raise) -> None:
    operations = raise_lab(nodes=2).operations
    assert "it needs 3" in operations.unavailable("remove_node")
    assert not operations.unavailable("restart_node")
    with pytest.raises(ProviderError, match="it needs 3"):
        operations.remove_node(WORKER)


@pytest.mark.thorough(but=("1.15.10",))
@pytest.mark.parametrize("version", [RULE, REBUILDS])
def test_a_restarted_node_has_a_new_key_and_the_same_pods(raise_lab: Raise, version: str) -> None:
    cluster = raise_lab(version)
    before, shaped = cluster.snapshot(), shape(cluster)
    lab = cluster.lab
    with sniffing(lab, lab.layout[0]) as seen, pinging(lab, lab.layout[0], lab.node(WORKER)) as stream:
        cluster.operations.restart_node(WORKER)
    assert not seen.clear()
    assert stream.lost > 5
    after = cluster.snapshot()
    assert after.keys[WORKER] != before.keys[WORKER]
    assert after.nodes[WORKER]
    assert shape(cluster) == shaped
    for port in (cluster.node_agent(WORKER), cluster.pod_agent(lab.node(WORKER).test_pod.pod)):
        assert json.loads(port.exchange(b'{"op": "hello"}\n', timeout=PATIENCE))["ok"]
    reach_each_other(lab)


@pytest.mark.thorough
def test_upgrades_let_nothing_out_and_end_as_a_lab_of_that_version(raise_lab: Raise) -> None:
    cluster: Cluster = (lab_cluster := raise_lab(RULE, nodes=2))
    cluster.operations.check_upgrade([RULE, REBUILDS, KEEPS])
    for version in (REBUILDS, KEEPS, RULE):
        seen, _ = watched(lab_cluster, lambda version=version: cluster.operations.upgrade(version))  # type: ignore[misc]
        assert not seen.clear()
        assert cluster.declared.version == cluster.actual_config().version == version
        assert {agent.image for agent in cluster.snapshot().agents.values()} == {version}
        assert shape(lab_cluster)[:2] == shape(raise_lab(version, nodes=2))[:2]
    assert cluster.snapshot().revision == "4"
    reach_each_other(lab_cluster.lab)


def test_pods_are_renewed_with_the_mtu_of_the_present_version(raise_lab: Raise) -> None:
    cluster = raise_lab(REBUILDS, nodes=2)
    cluster.operations.upgrade(KEEPS)
    node = cluster.lab.node(WORKER)
    assert "mtu 1420" in cluster.lab.run_in_pod(node, "ip route; ip -6 route")
    cluster.operations.renew_pods()
    assert cluster.lab.run_in_pod(node, "ip route; ip -6 route").count("mtu 1405") == 2


@pytest.mark.parametrize(
    ("versions", "sentence"),
    [
        ([RULE, KEEPS], "imitates Cilium 1.20.3, not 1.13.18"),
        ([KEEPS, "0.9"], "0.9"),
        ([KEEPS, RULE], "1.13.18"),
    ],
)
def test_an_upgrade_that_cannot_be_is_refused_before_it_begins(
    raise_lab: Raise, versions: list[str], sentence: str
) -> None:
    cluster = raise_lab(KEEPS, nodes=2, families=frozenset({IPFamily.V6}))
    with pytest.raises(ProviderError, match=sentence):
        cluster.operations.check_upgrade(versions)
    assert cluster.snapshot().revision == "1"
