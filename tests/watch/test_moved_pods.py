"""A test pod whose agent is restarted: in the same pod it may have another address, which the API shows later."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ciliumwg.agent.service import Agent as AgentProcess
from pytest_ciliumwg.model.cluster import IPFamily, Pod
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.watch.continuous import ContinuousWatch

SECONDS = 10.0
NET = f"127.{os.getpid() % 250 + 1}"
"""Its own for each process: tests that run side by side would find their ports taken."""


class PodAgent:
    """An agent in a pod, which has one address at a time; others are refused, as the kernel of a pod does."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self._process = AgentProcess()
        self._begun: list[tuple[str, str]] = []
        """What ends with it: how, and the job."""

    def restart(self, address: str) -> None:
        """The pod's container is started anew, with another address."""
        for op, job in self._begun:
            self._process.handle(json.dumps({"op": op, "job": job, "acknowledged": 0}).encode())
        self._begun.clear()
        self._process = AgentProcess()
        self.address = address

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        del timeout
        asked = json.loads(request)
        refused = {}
        if asked["op"] == "stream-start":
            self._begun.append(("stream-stop", asked["job"]))
        if asked["op"] == "serve":
            self._begun.append(("serve-stop", asked["job"]))
            refused = {
                str(flow["id"]): "Cannot assign requested address"
                for flow in asked["flows"]
                if flow["destination"] != self.address
            }
            asked["flows"] = [flow for flow in asked["flows"] if str(flow["id"]) not in refused]
        reply: dict[str, Any] = dict(self._process.handle(json.dumps(asked).encode()))
        if refused:
            reply["errors"] |= refused
        return json.dumps(reply).encode() + b"\n"


class TwoPods:
    """A cluster of two test pods on loopback addresses."""

    declared = SimpleNamespace(families=frozenset({IPFamily.V4}))
    settle_seconds = 1.0

    def __init__(self) -> None:
        self.agents = {name: PodAgent(name, f"{NET}.{number}.1") for number, name in enumerate(("one", "two"))}
        self.shown = {
            name: Pod(name=f"test-{name}", namespace="t", node=name, addresses=(ip_address(agent.address),))
            for name, agent in self.agents.items()
        }

    def test_pods(self) -> tuple[Pod, ...]:
        return tuple(self.shown.values())

    def nodes(self) -> tuple[Any, ...]:
        return ()

    def pod_agent(self, pod: Pod) -> PodAgent:
        return self.agents[pod.node]


@pytest.fixture
def cluster() -> TwoPods:
    return TwoPods()


@pytest.fixture
def watch(cluster: TwoPods) -> Iterator[ContinuousWatch]:
    """The streams of a continuous watch, without captures: loopback has no nodes."""
    anything: Any = cluster
    made = ContinuousWatch(anything, {}, 51871, lambda _: None, other_pods=False)
    for stream in made._streams.values():
        stream.flows = [flow for flow in stream.flows if flow.protocol is not Protocol.ICMP]
        stream.served = [flow for flow in stream.served if flow.protocol is not Protocol.ICMP]
        stream.serve()
    for stream in made._streams.values():
        stream.start()
    made._sending.set()
    yield made
    for stream in made._streams.values():
        stream.stop()
        stream.stop_serving()
    made._pool.shutdown()


def polled_until(watch: ContinuousWatch, what: Callable[[], bool], seconds: float = SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        for stream in watch._streams.values():
            watch._poll_stream(stream)
        time.sleep(0.05)
    return True


def answered(watch: ContinuousWatch) -> dict[int, int]:
    return {number: totals.answered for number, totals in watch.ledger.totals().items()}


def all_go_on(watch: ContinuousWatch) -> bool:
    """Whether every flow is answered from now on."""
    before = answered(watch)
    flows = [flow.id for stream in watch._streams.values() for flow in stream.flows]
    return polled_until(watch, lambda: all(answered(watch).get(flow, 0) > before.get(flow, 0) for flow in flows))


@pytest.mark.parametrize("shown_after", [0.0, 1.0], ids=["at-once", "late"])
def test_the_same_pod_with_another_address(cluster: TwoPods, watch: ContinuousWatch, shown_after: float) -> None:
    assert all_go_on(watch)
    cluster.agents["two"].restart(f"{NET}.1.2")
    polled_until(watch, lambda: False, shown_after)
    cluster.shown["two"] = replace(cluster.shown["two"], addresses=(ip_address(f"{NET}.1.2"),))
    assert all_go_on(watch), [stream.trouble for stream in watch._streams.values()]
    ends = {(str(flow.source), str(flow.destination)) for flow in watch.flows.values()}
    assert ends == {(f"{NET}.0.1", f"{NET}.1.2"), (f"{NET}.1.2", f"{NET}.0.1")}
    assert [error for stream in watch._streams.values() for error in stream.errors] == []
    assert not any(stream.gone or stream.trouble for stream in watch._streams.values())


def test_the_same_pod_with_the_same_address(cluster: TwoPods, watch: ContinuousWatch) -> None:
    assert all_go_on(watch)
    cluster.agents["two"].restart(f"{NET}.1.1")
    assert all_go_on(watch)
    assert [error for stream in watch._streams.values() for error in stream.errors] == []


def test_another_pod(cluster: TwoPods, watch: ContinuousWatch) -> None:
    assert all_go_on(watch)
    cluster.agents["two"].restart(f"{NET}.1.7")
    cluster.shown["two"] = replace(cluster.shown["two"], name="test-new", addresses=(ip_address(f"{NET}.1.7"),))
    assert all_go_on(watch)
    assert {flow.destination_pod for flow in watch.flows.values()} == {"t/test-one", "t/test-new"}


def test_an_address_that_never_comes_is_told(cluster: TwoPods, watch: ContinuousWatch) -> None:
    assert all_go_on(watch)
    cluster.agents["two"].restart(f"{NET}.1.2")
    assert not polled_until(watch, lambda: False, 0.5)
    assert "Cannot assign requested address" in watch._streams["two"].trouble
