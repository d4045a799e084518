"""When a cluster has come to rest: nothing is wrong inside or outside, and nothing goes wrong again at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_ciliumwg.changes import convergence
from pytest_ciliumwg.changes.convergence import RETRY_SECONDS, SETTLE_FACTOR, Convergence, converge
from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Node
from pytest_ciliumwg.model.node_state import NodeState, Peer, WireGuardDevice
from pytest_ciliumwg.model.timeline import AgentPod, Snapshot
from pytest_ciliumwg.providers.base import Cluster
from pytest_ciliumwg.watch.continuous import ContinuousWatch

KEYS = {name: letter * 43 + "=" for name, letter in (("one", "K"), ("two", "L"))}
LONG = 20.0
"""Seconds that no test has to wait for."""


def peer(key: str) -> Peer:
    return Peer(public_key=key, endpoint=None, allowed_ips=frozenset(), latest_handshake=None, rx_bytes=0, tx_bytes=0)


def state(name: str, peer_keys: tuple[str, ...], own_key: str = "") -> NodeState:
    device = WireGuardDevice(name="cilium_wg0", public_key=own_key or KEYS[name], listen_port=51871, fwmark=0xE00)
    return NodeState(
        node=name,
        observed_at=0.0,
        link=None,
        wireguard=device,
        peers=tuple(peer(key) for key in peer_keys),
        rules=(),
        routes=(),
        redirects=(),
        native_devices=(),
        rp_filter=None,
    )


HEALTHY = {"one": state("one", (KEYS["two"],)), "two": state("two", (KEYS["one"],))}
SNAPSHOT = Snapshot(
    agents={name: AgentPod(name=f"cilium-{name}", ready=True) for name in KEYS},
    nodes=dict.fromkeys(KEYS, True),
    keys=KEYS,
    pods={},
)


@dataclass
class Changing:
    """A cluster and a watch whose answers change from one question to the next; the last one stays."""

    states: list[Mapping[str, NodeState]] = field(default_factory=lambda: [HEALTHY])
    snapshots: list[Snapshot] = field(default_factory=lambda: [SNAPSHOT])
    troubles: list[tuple[str, ...]] = field(default_factory=lambda: [()])
    pods_error: str = ""
    settle_seconds: float = 0.1
    asked: int = 0
    """How often the cluster's inside was looked at: the snapshot comes first."""

    def test_pods(self) -> list[SimpleNamespace]:
        if self.pods_error:
            raise ProviderError(self.pods_error)
        return [SimpleNamespace(node=name) for name in KEYS]

    def snapshot(self) -> Snapshot:
        self.asked += 1
        return self.snapshots[min(self.asked, len(self.snapshots)) - 1]

    def state(self, node: str) -> NodeState:
        return self.states[min(self.asked, len(self.states)) - 1][node]

    def trouble(self) -> tuple[str, ...]:
        return self.troubles.pop(0) if len(self.troubles) > 1 else self.troubles[0]

    def converge(self) -> Convergence:
        nodes = [SimpleNamespace(name=name, public_key=key) for name, key in KEYS.items()]
        cluster = SimpleNamespace(
            settle_seconds=self.settle_seconds,
            declared=CiliumConfig(version="1.18.3", encryption=True, families=frozenset(IPFamily)),
            test_pods=self.test_pods,
            snapshot=self.snapshot,
            state=self.state,
            nodes=lambda: cast(list[Node], nodes),
        )
        watch = SimpleNamespace(poll_seconds=0.0, troubles=lambda _: self.trouble())
        return converge(cast(Cluster, cluster), cast(ContinuousWatch, watch), list[str]().append)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convergence, "PATIENCE", 0.05)
    monkeypatch.setattr(convergence, "_PAUSE", 0.01)
    monkeypatch.setattr(convergence, "RETRY_SECONDS", 0.0)


def test_a_healthy_cluster_is_at_rest_at_once() -> None:
    rest = Changing(settle_seconds=LONG).converge()
    assert rest.after is not None
    assert (rest.limit, rest.wrong) == (SETTLE_FACTOR * LONG, ())


def test_initiations_that_crossed_have_their_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convergence, "RETRY_SECONDS", LONG)
    rest = Changing(troubles=[*[("nobody answers it",)] * 40, ()], settle_seconds=0.01).converge()
    assert rest.after is not None
    assert RETRY_SECONDS > 5 + 1 / 3, "WireGuard's REKEY_TIMEOUT, and its jitter"
    assert rest.limit == SETTLE_FACTOR * 0.01 + LONG


def test_a_peer_that_comes_late_is_waited_for() -> None:
    without = HEALTHY | {"one": state("one", ())}
    rest = Changing(states=[without, without, HEALTHY], settle_seconds=LONG).converge()
    assert rest.after is not None
    assert rest.after >= 0.02
    assert rest.wrong == ()


NEVER: dict[str, tuple[Changing, str]] = {
    "no peer": (Changing(states=[HEALTHY | {"one": state("one", ())}]), "one has no peer with the key of two"),
    "a stale peer": (
        Changing(states=[HEALTHY | {"one": state("one", (KEYS["two"], "S" * 43 + "="))}]),
        "one has 1 peers whose key no node publishes",
    ),
    "another key": (
        Changing(states=[HEALTHY | {"two": state("two", (KEYS["one"],), own_key="Z" * 43 + "=")}]),
        "two publishes another key than that of its device",
    ),
    "unread peers": (
        Changing(states=[HEALTHY | {"two": replace(HEALTHY["two"], unread={"peers": "no answer"})}]),
        "the peers of two cannot be read: no answer",
    ),
    "an agent": (
        Changing(snapshots=[replace(SNAPSHOT, agents={"one": AgentPod(name="cilium-one", ready=True)})]),
        "the Cilium agent on two is not ready",
    ),
    "a node": (Changing(snapshots=[replace(SNAPSHOT, nodes={"one": True, "two": False})]), "node two is not Ready"),
    "a silent flow": (Changing(troubles=[("nobody answers it",)]), "nobody answers it"),
    "a test pod": (Changing(pods_error="the test pod of two is missing"), "the test pod of two is missing"),
}


@pytest.mark.parametrize("what", NEVER)
def test_what_stays_wrong_is_told_when_time_is_over(what: str) -> None:
    changing, told = NEVER[what]
    rest = changing.converge()
    assert (rest.after, rest.wrong) == (None, (told,))


def test_everything_that_is_wrong_in_the_end_is_told() -> None:
    changing = Changing(
        states=[HEALTHY | {"one": state("one", ())}], troubles=[("nobody answers it", "the watch is gone")]
    )
    assert changing.converge().wrong == (
        "one has no peer with the key of two",
        "nobody answers it",
        "the watch is gone",
    )


def test_what_goes_wrong_again_at_once_is_no_rest() -> None:
    rest = Changing(troubles=[(), (), ("nobody answers it",)]).converge()
    assert (rest.after, rest.wrong) == (None, ("nobody answers it",))


def test_what_goes_wrong_only_for_a_moment_delays_the_rest() -> None:
    rest = Changing(troubles=[(), (), ("nobody answers it",), ()], settle_seconds=LONG).converge()
    assert rest.after is not None
    assert rest.after >= 0.01
