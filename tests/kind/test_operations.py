"""The nodes of a kind cluster leave, come back and restart; and its Cilium becomes another version."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_ciliumwg.providers.kind import KindProvider
from pytest_ciliumwg.waiting import wait_for
from tests.apidouble import ApiDouble
from tests.patience import PATIENCE

from .conftest import Machine, interrupted_after
from .on_lab import CONTROL, NODE, VERSION, Make, lab_behind_kind

pytestmark = pytest.mark.slow


@pytest.fixture
def double() -> Iterator[ApiDouble]:
    with lab_behind_kind() as made:
        yield made


def test_a_node_leaves_and_comes_back(make: Make, machine: Machine, double: ApiDouble) -> None:
    kind = make()
    stray = {"metadata": {"name": "stray", "namespace": "default"}, "spec": {"nodeName": NODE}, "status": {}}
    double.store.put("pods", stray)
    before = kind.snapshot()
    operations = kind.operations
    assert operations.unavailable("remove_node") == ""
    operations.remove_node(NODE)
    gone = kind.snapshot()
    assert NODE not in gone.nodes.keys() | gone.agents.keys() | gone.keys.keys() | set(gone.pods.values())
    assert [pod.node for pod in kind.test_pods()] == [CONTROL, "lab-worker2"]
    assert "POST /api/v1/namespaces/default/pods/stray/eviction" in double.journal
    assert len([line for line in double.journal if "/eviction" in line]) == 1, "pods of DaemonSets are not evicted"
    operations.add_node(NODE)
    after = kind.snapshot()
    assert after.nodes == before.nodes
    assert after.agents.keys() == before.agents.keys()
    assert after.keys[NODE] != before.keys[NODE], "its key went with its memory"
    pods = kind.test_pods()
    assert [pod.node for pod in pods] == [CONTROL, NODE, "lab-worker2"]
    assert kind.services().keys() == {pod.key for pod in pods}
    assert kind.state(NODE).wireguard is not None
    assert not double.store.get("nodes", None, NODE)["spec"].get("unschedulable")
    assert [line for line in machine.commands() if line.startswith("docker st")] == [
        f"docker stop {NODE}",
        f"docker start {NODE}",
    ]


@pytest.mark.thorough
def test_a_node_restarts(make: Make, machine: Machine, double: ApiDouble) -> None:
    kind = make()
    before = kind.snapshot().keys[NODE]
    kind.operations.restart_node(NODE)
    assert kind.snapshot().keys[NODE] != before
    assert f"docker restart {NODE}" in machine.commands()
    for pod in kind.test_pods():
        assert b"ok" in kind.pod_agent(pod).exchange(b'{"op":"hello"}\n', timeout=PATIENCE)
    assert b"ok" in kind.node_agent(NODE).exchange(b'{"op":"hello"}\n', timeout=PATIENCE)


def picture(kind: KindProvider, double: ApiDouble) -> dict[str, Any]:
    """All that a change of a node could have left; names and keys of what was made anew left out."""
    snapshot = kind.snapshot()
    pods = [pod for pod in double.store.select("pods") if pod["spec"].get("nodeName")]
    return {
        "nodes": snapshot.nodes,
        "agents": {node: agent.ready for node, agent in snapshot.agents.items()},
        "keys": snapshot.keys.keys(),
        "pods": Counter((pod["metadata"]["namespace"], pod["spec"]["nodeName"]) for pod in pods),
        "cordoned": [
            node["metadata"]["name"] for node in double.store.select("nodes") if node["spec"].get("unschedulable")
        ],
    }


# Where a library is interrupted while it connects, nobody closes its socket.
@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("operation", ["drain_node", "remove_node", "restart_node"])
def test_interrupted_at_any_moment_and_restored_it_is_as_before(make: Make, double: ApiDouble, operation: str) -> None:
    kind = make()
    before = picture(kind, double)

    for moment in (random.uniform(0.01, longest) for longest in (0.1, 0.5, 2.0)):  # noqa: S311 - no secret
        with interrupted_after(moment):
            getattr(kind.operations, operation)(NODE)
        kind.operations.restore()
        # For some time the API shows a node Ready whose kubelet starts anew, and NotReady after that.
        wait_for(lambda: "" if picture(kind, double) == before else "it differs", seconds=30, poll=0.05)
        assert picture(kind, double) == before, f"interrupted after {moment:.3f} s"
        for pod in kind.test_pods():
            assert b"ok" in kind.pod_agent(pod).exchange(b'{"op":"hello"}\n', timeout=PATIENCE)
            assert b"ok" in kind.node_agent(pod.node).exchange(b'{"op":"hello"}\n', timeout=PATIENCE)


@pytest.mark.thorough
def test_an_upgrade_installs_the_values_of_the_version(make: Make, machine: Machine, double: ApiDouble) -> None:
    kind = make(upgrade_path=("1.16.4",))
    kind.operations.check_upgrade([VERSION, "1.16.4"])
    kind.operations.upgrade("1.16.4")
    assert kind.declared.version == kind.actual_config().version == "1.16.4"
    assert {agent.image.partition("@")[0] for agent in kind.snapshot().agents.values()} == {
        "registry.example/cilium/cilium:v1.16.4"
    }
    helm = [call["argv"] for call in machine.journal() if call["program"] == "helm"]
    (pulled,) = [argv for argv in helm if argv[0] == "pull"]
    created, upgraded = (argv for argv in helm if argv[:2] == ["upgrade", "--install"])
    assert pulled[pulled.index("--version") + 1] == VERSION
    assert created[3].endswith(".tgz"), "the chart that was fetched while kind made the nodes"
    assert upgraded[upgraded.index("--version") + 1] == "1.16.4"
    assert kind._spec.cilium_version == "1.16.4"
