"""The operations over a lab: agents, keys, pods and versions really change there, and the packets show it."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import AgentError, ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.traffic import Verdict
from pytest_ciliumwg.providers.existing import ExistingCluster, RetryPolicy
from tests.apidouble import ApiDouble, LabBackend
from tests.existing.conftest import Connect, MakeDouble, scenario
from tests.existing.test_lab import judged
from tests.existing.test_operations_inside import condition, pings
from tests.existing.test_operations_upgrade import rolls_out
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow
NODE, OTHER = "lab-worker", "lab-control-plane"
PATIENT: dict[str, Any] = {"timeout": 30.0, "retry_policy": RetryPolicy(poll=0.05)}
V4 = frozenset({IPFamily.V4})


@pytest.fixture
def stand(lab_double: MakeDouble, connect: Connect) -> Any:
    def make(version: str = "1.15.10", **spec: Any) -> tuple[ApiDouble, ExistingCluster]:
        how = {key: spec.pop(key) for key in ("nodes", "families", "routing_mode") if key in spec}
        double = lab_double(version, **{"nodes": 2, "families": V4} | how)
        return double, connect(double, **PATIENT | spec)

    return make


def verdicts(cluster: ExistingCluster) -> set[Verdict]:
    """Of all flows but those that the version is known to drop."""
    judgements = judged(cluster).judgements
    return {judgement.verdict for judgement in judgements if not judgement.flow.dropped_by_design}


def test_another_key_is_published_and_used(stand: Any) -> None:
    double, cluster = stand()
    before = cluster.snapshot()
    cluster.operations.replace_key(NODE)
    after = cluster.snapshot()
    assert {node for node in before.keys if before.keys[node] != after.keys[node]} == {NODE}
    assert before.agents[NODE].name != after.agents[NODE].name
    device = cluster.state(NODE).wireguard
    assert device is not None
    assert device.public_key == after.keys[NODE]
    assert pings(cluster, double)


def test_one_more_pod_comes_answers_and_goes(stand: Any) -> None:
    double, cluster = stand()
    before = cluster.snapshot().pods
    pod = cluster.operations.create_pod(NODE)
    assert pod.node == NODE
    assert cluster.snapshot().pods == before | {pod.key: NODE}
    assert b'"ok":true' in cluster.pod_agent(pod).exchange(b'{"op":"hello"}\n', timeout=PATIENCE).replace(b" ", b"")
    assert len(cluster.test_pods()) == 2, "it is no test pod"
    cluster.operations.delete_pod(pod)
    assert cluster.snapshot().pods == before
    with pytest.raises(AgentError, match="gone"):
        cluster.pod_agent(pod).exchange(b'{"op":"hello"}\n', timeout=PATIENCE)
    deleted = [line for line in double.journal if line.startswith("DELETE") and pod.name in line]
    assert len(deleted) == 1


def test_a_pod_that_cannot_run_is_told_and_goes(stand: Any) -> None:
    double, cluster = stand(timeout=3.0)
    double.mishap(role="extra-pod", waiting=("ErrImageNeverPull", "not present"))
    said = r"extra-pod-\w+ cannot run: extra-pod on lab-worker: the node has not the image python\S+: ErrImageNeverPull"
    with pytest.raises(ProviderError, match=said):
        cluster.operations.create_pod(NODE)
    cluster.operations.restore()
    assert not [name for name in double.store.names("pods") if name.startswith("extra-pod")]


def test_new_test_pods_are_found_and_have_services_of_their_own(stand: Any) -> None:
    double, cluster = stand()
    before, services = cluster.test_pods(), cluster.services()
    cluster.operations.renew_pods()
    after = cluster.test_pods()
    assert {pod.key for pod in before}.isdisjoint(pod.key for pod in after)
    assert cluster.services().keys() == {pod.key for pod in after}
    assert set(services.values()).isdisjoint(cluster.services().values())
    assert len(double.store.select("services", double.ours()[0])) == 2
    assert pings(cluster, double)


def test_agents_that_somebody_deletes_are_found_anew(stand: Any) -> None:
    double, cluster = stand()
    port = cluster.node_agent(NODE)
    (pod,) = [
        pod
        for pod in double.store.select("pods", double.ours()[0], {"ciliumwg/role": "node-agent"})
        if pod["spec"]["nodeName"] == NODE
    ]
    cluster.context.kube.delete("pods", pod["metadata"]["name"], namespace=pod["metadata"]["namespace"])
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            port.exchange(b'{"op":"hello"}\n', timeout=PATIENCE)
        except AgentError:
            port = cluster.node_agent(NODE)
        else:
            if port is not None and pod["metadata"]["name"] not in str(port.__dict__):
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.thorough
def test_an_upgrade_with_helm_changes_the_steering_of_every_node(stand: Any, helm: Path) -> None:
    double, cluster = stand("1.13.18", command_timeout=60.0)
    scenario(helm, double, values={"tunnel": "disabled", "l7Proxy": False})
    assert cluster.state(NODE).rules
    cluster.operations.check_upgrade(["1.13.18", "1.14.5"])
    cluster.operations.upgrade("1.14.5")
    assert cluster.declared.version == cluster.actual_config().version == "1.14.5"
    assert not [rule for rule in cluster.state(NODE).rules if rule.table == "201"]
    cluster.operations.renew_pods()
    assert verdicts(cluster) == {Verdict.ENCRYPTED}


def test_somebody_else_s_upgrade_is_watched_node_by_node(stand: Any) -> None:
    double, cluster = stand("1.17.3", observe_seconds=60.0)
    seen: list[frozenset[str]] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            seen.append(frozenset(agent.image for agent in cluster.snapshot().agents.values()))

    thread = threading.Thread(target=watch)
    thread.start()
    rolls_out(double, "1.18.3")
    try:
        cluster.operations.upgrade("1.18.3")
    finally:
        stop.set()
        thread.join()
    assert any(len(images) == 2 for images in seen), "a snapshot between the nodes shows both versions"
    assert cluster.declared.version == "1.18.3"
    assert pings(cluster, double)


class Interrupted(BaseException):
    """Ctrl-C, at any moment."""


PULLS = ("device_down", "block_port", "create_pod", "replace_key", "restart_agents", "renew_pods")


@pytest.mark.thorough
@pytest.mark.parametrize("operation", PULLS)
def test_interrupted_anywhere_and_restored_it_is_as_before(
    stand: Any, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    double, cluster = stand("1.13.18")
    before, pods = condition(double), len(double.store.names("pods"))
    left = [0]
    from pytest_ciliumwg.providers.existing import operations
    from pytest_ciliumwg.providers.kubernetes import kube, remote

    real, once = remote.run_in, kube.Kube._once

    def interrupt() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Interrupted

    def in_between(*args: Any, **named: Any) -> Any:
        interrupt()
        done = real(*args, **named)
        interrupt()
        return done

    def asked(*args: Any, **named: Any) -> Any:
        interrupt()
        answer = once(*args, **named)
        interrupt()
        return answer

    arguments: list[Any] = [] if operation == "renew_pods" else [[NODE] if operation == "restart_agents" else NODE]
    for seed in range(3):
        with monkeypatch.context() as patched:
            patched.setattr(operations.in_container, "run_in", in_between)
            patched.setattr(kube.Kube, "_once", asked)
            left[0] = random.Random(f"{operation} {seed}").randint(1, 6)  # noqa: S311 - repeatable, and no secret
            with contextlib.suppress(Interrupted):
                getattr(cluster.operations, operation)(*arguments)
            left[0] = -1
        cluster.operations.restore()
        settled(double, pods, before)
        assert all(agent.ready for agent in cluster.snapshot().agents.values())
        assert len(cluster.test_pods()) == 2
        cluster.operations.restore()
        assert pings(cluster, double)


def settled(double: ApiDouble, pods: int, before: str) -> None:
    """Wait until the node is as it was, and there are so many pods as there were, all of them ready."""
    deadline = time.monotonic() + 60
    while True:
        found = double.store.select("pods")
        well = all(
            pod["status"]["phase"] == "Running" and not pod["metadata"].get("deletionTimestamp") for pod in found
        )
        if len(found) == pods and well and condition(double) == before:
            return
        assert time.monotonic() < deadline, ([pod["metadata"]["name"] for pod in found], condition(double))
        time.sleep(0.05)


def test_closing_undoes_what_is_not_undone(lab_double: MakeDouble, connect: Connect) -> None:
    double = lab_double("1.18.3", nodes=2, families=V4)
    before = condition(double)
    cluster = connect(double, **PATIENT)
    cluster.operations.block_port(NODE)
    cluster.operations.device_down(OTHER)
    cluster.operations.create_pod(NODE)
    cluster.close()
    assert condition(double) == before
    assert double.ours() == []
    assert isinstance(double.backend, LabBackend)
    assert not double.backend._started
