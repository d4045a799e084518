"""Control canaries of the one-shot watch: who sends them to whom."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ciliumwg.watch import one_shot

NODES = [SimpleNamespace(name=f"node-{n}", addresses=(ip_address(f"172.18.0.{n}"),)) for n in range(3)]
OF_ADDRESS = {str(node.addresses[0]): node.name for node in NODES}


class Agents:
    """Agents that hear all, once canaries were sent so many times."""

    def __init__(self, heard_after: int) -> None:
        self.sent: list[set[tuple[str, str]]] = []
        self._heard_after = heard_after
        self._rounds = 0

    def agent(self, name: str) -> Any:
        def send(
            _run: object, number: int, _devices: object, others: list[str], _ways: object
        ) -> tuple[list[str], list[str]]:
            if name == NODES[0].name:
                self._rounds += 1
            while len(self.sent) < self._rounds:
                self.sent.append(set())
            self.sent[-1] |= {(name, OF_ADDRESS[address]) for address in others}
            return [], []

        def seen(_run: object) -> set[int]:
            return set(range(2 * len(NODES))) if self._rounds >= self._heard_after else set()

        return SimpleNamespace(send_control=send, controls_seen=seen)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def sent(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, encrypted: bool, phase: int, rounds: int) -> Any:
    agents = Agents(rounds)
    monkeypatch.setattr(one_shot, "Agent", agents.agent)
    cluster: Any = SimpleNamespace(
        nodes=lambda: NODES,
        test_pods=tuple,
        node_agent=lambda name: name,
        crowding=1.0,
        settle_seconds=0.0,
        declared=SimpleNamespace(node_encryption=encrypted),
    )
    states: Any = {node.name: SimpleNamespace(native_devices=(), macs=frozenset()) for node in NODES}
    one_shot._Watching(cluster, states, pool, ()).exchange_controls(phase)
    return agents.sent


ALL = {(one.name, other.name) for one in NODES for other in NODES if one is not other}


def test_with_node_encryption_no_two_nodes_open_a_session_at_once(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sent(pool, monkeypatch, encrypted=True, phase=0, rounds=1) == [
        {("node-0", "node-1"), ("node-0", "node-2"), ("node-1", "node-2")}
    ]


def test_what_was_not_heard_then_goes_from_all_to_all(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sent(pool, monkeypatch, encrypted=True, phase=0, rounds=2)[1] == ALL


@pytest.mark.parametrize(("encrypted", "phase"), [(False, 0), (False, 1), (True, 1)])
def test_otherwise_all_send_to_all(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, encrypted: bool, phase: int
) -> None:
    assert sent(pool, monkeypatch, encrypted, phase, rounds=1) == [ALL]
