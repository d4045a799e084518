"""What can be changed through the API is changed there, and undone."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from tests.apidouble import hang, refuse
from tests.apidouble.recorded import NODE
from tests.apidouble.trouble import ALWAYS
from tests.existing.conftest import Connect, MakeDouble
from tests.patience import PATIENCE


def agent_uids(double: Any) -> dict[str, str]:
    pods = double.store.select("pods", "kube-system", {"k8s-app": "cilium"})
    return {pod["spec"]["nodeName"]: pod["metadata"]["uid"] for pod in pods}


def test_a_snapshot_shows_all_that_may_change(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    shown = cluster.snapshot()
    names = {node.name for node in cluster.nodes()}
    assert shown.agents.keys() == shown.nodes.keys() == shown.keys.keys() == names
    agent = shown.agents[NODE]
    assert agent.ready
    assert agent.started_at is not None
    assert agent.started_at < time.time()
    assert ":v1.15" in agent.image
    assert shown.pods.items() >= {pod.key: pod.node for pod in cluster.test_pods()}.items()
    assert shown.revision == "Helm revision 1"
    double.store.merge("nodes", None, NODE, {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
    assert cluster.snapshot().nodes[NODE] is False
    double.store.remove("ciliumnodes", None, NODE)
    assert NODE not in cluster.snapshot().keys
    assert NODE not in cluster.snapshot().pods.values()


def test_a_snapshot_is_a_handful_of_requests_without_secrets_contents(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    double.journal.clear()
    cluster.snapshot()
    assert len(double.journal) <= 6
    assert "x" * 100 not in str(double.journal)


def test_who_may_not_see_secrets_gets_the_generation_and_asks_once(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    double.trouble(r"GET .*/secrets", refuse(403, "Forbidden"), times=ALWAYS)
    assert [cluster.snapshot().revision for _ in range(3)] == ["generation 1"] * 3
    assert len([line for line in double.journal if "/secrets" in line]) == 1


@pytest.mark.parametrize("trouble", [refuse(503), hang(2 * PATIENCE)], ids=["503", "silent"])
def test_a_snapshot_does_not_wait_for_an_api_server(
    recorded: MakeDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    double = recorded()
    cluster = connect(double)
    double.trouble(r"GET .*/pods", trouble)
    began = time.monotonic()
    with pytest.raises(ProviderError, match="cannot list pods"):
        cluster.snapshot()
    assert time.monotonic() - began < PATIENCE
    assert cluster.snapshot().agents


def test_an_api_server_that_restarts_is_told_at_once_and_waited_for_where_it_matters(
    recorded: MakeDouble, connect: Connect
) -> None:
    double = recorded()
    cluster = connect(double, timeout=20.0)
    double.restart(1.0)
    with pytest.raises(ProviderError, match=r"cannot list pods .* cannot be reached \(Connection refused\)"):
        cluster.snapshot()
    time.sleep(1.2)  # the server's own time
    assert cluster.snapshot().agents
    double.trouble("DELETE .*/pods/", lose_answer_and(lambda: double.restart(0.8)))
    cluster.operations.restart_agents([NODE])
    assert cluster.snapshot().agents[NODE].ready


def lose_answer_and(then: Any) -> Any:
    """Do what was asked; the answer is lost, for the server is gone then."""

    async def action(request: Any, proceed: Any) -> Any:
        answer = await proceed()
        threading.Thread(target=then).start()
        return answer

    return action


def test_agents_are_restarted_and_others_are_not(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    before, names = agent_uids(double), cluster.snapshot().agents
    cluster.operations.restart_agents([NODE])
    after = agent_uids(double)
    assert {node for node in before if before[node] != after[node]} == {NODE}
    shown = cluster.snapshot().agents
    assert shown[NODE].name != names[NODE].name
    assert shown[NODE].ready
    assert (shown[NODE].started_at or 0) > (names[NODE].started_at or 0)
    assert cluster.state(NODE).wireguard is not None


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"absent": True}, r"not ready again within 3 s: node \S+ has none, so its DaemonSet does not make one: see"),
        ({"waiting": ("CrashLoopBackOff", "boom")}, r"within 3 s: on node \S+ CrashLoopBackOff; see `kubectl -n kube"),
    ],
    ids=["no-successor", "crashing"],
)
def test_an_agent_that_does_not_come_back(
    recorded: MakeDouble, connect: Connect, how: dict[str, Any], says: str
) -> None:
    double = recorded()
    cluster = connect(double)
    double.mishap(role="cilium", node=NODE, **how)
    with pytest.raises(ProviderError) as caught:
        cluster.operations.restart_agents([NODE])
    assert re.search(says, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)
    double.kubelet.agents.heal()
    cluster.operations.restore()


def test_who_may_not_delete_pods_is_told(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded()
    cluster = connect(double)
    double.trouble(r"DELETE .*/pods/", refuse(403, "Forbidden", "may not delete pods"), times=ALWAYS)
    with pytest.raises(ProviderError, match=r"cannot delete pod cilium-.*may not"):
        cluster.operations.restart_agents([NODE])
    double.troubles.clear()


def test_a_node_without_an_agent_is_named(recorded: MakeDouble, connect: Connect) -> None:
    with pytest.raises(ProviderError, match="node stranger has no Cilium agent pod in namespace kube-system"):
        connect(recorded()).operations.restart_agents(["stranger"])


@pytest.mark.parametrize("operation", ["drain_node", "remove_node", "add_node", "restart_node"])
def test_what_needs_the_nodes_themselves_is_unavailable(recorded: MakeDouble, connect: Connect, operation: str) -> None:
    operations = connect(recorded()).operations
    assert "use --ciliumwg-provider=kind" in operations.unavailable(operation)
    assert operations.unavailable("restart_agents") == ""
