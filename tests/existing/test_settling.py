"""Nodes learn of new pods a moment after the API shows them, and are not judged before."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import Node, Pod
from pytest_ciliumwg.model.node_state import NodeState, Peer
from pytest_ciliumwg.providers.settling import read_settled

NODES = tuple(
    Node(name=name, addresses=(ip_address(ip),), public_key=name)
    for name, ip in (("one", "192.0.2.1"), ("two", "192.0.2.2"))
)
POD = Pod(name="test", namespace="ours", node="two", addresses=(ip_address("10.0.2.7"),))


def state(node: str, *allowed: str) -> NodeState:
    """A node whose one peer is the other."""
    (other,) = (peer.name for peer in NODES if peer.name != node)
    peer = Peer(
        public_key=other, endpoint=None, allowed_ips=frozenset(map(ip_network, allowed)),
        latest_handshake=None, rx_bytes=0, tx_bytes=0,
    )  # fmt: skip
    return NodeState(
        node=node, observed_at=0.0, link=None, wireguard=None, peers=(peer,), rules=(), routes=(), redirects=(),
        native_devices=(), rp_filter=0,
    )  # fmt: skip


class Learning:
    """A cluster whose first node has these allowed IPs, one reading after the other."""

    settle_seconds = 30.0
    declared = SimpleNamespace(cluster_id=0)

    def __init__(self, *readings: tuple[str, ...]) -> None:
        self.readings = list(readings)

    def nodes(self) -> tuple[Node, ...]:
        return NODES

    def pods(self) -> tuple[Pod, ...]:
        return (POD,)

    def state(self, node: str) -> NodeState:
        if node == "two":
            return state(node)
        return state(node, *(self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ciliumwg.providers.settling._POLL_SECONDS", 0.01)


@pytest.mark.parametrize("known", ["10.0.2.7/32", "10.0.2.0/24"])
def test_a_new_pod_is_waited_for(known: str) -> None:
    cluster: Any = Learning((), (), (known,))
    reading = read_settled(cluster, ["one", "two"], lambda _: None, newcomers=[POD])
    assert reading.states["one"] == state("one", known)


def test_an_address_of_a_pod_that_is_gone_is_waited_for() -> None:
    cluster: Any = Learning(("10.0.2.9/32", "192.0.2.2/32"), ("10.0.2.9/32",), ("192.0.2.2/32",))
    assert read_settled(cluster, ["one", "two"], lambda _: None).states["one"] == state("one", "192.0.2.2/32")


def test_others_are_not() -> None:
    cluster: Any = Learning((), ("10.0.2.7/32",))
    assert read_settled(cluster, ["one", "two"], lambda _: None).states["one"] == state("one")


def test_what_never_comes_is_judged_as_it_is() -> None:
    cluster: Any = Learning(())
    lines: list[str] = []
    reading = read_settled(cluster, ["one", "two"], lines.append, seconds=0.05, newcomers=[POD])
    assert reading.states["one"] == state("one")
