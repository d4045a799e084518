"""However an operation is interrupted, `restore` gives back the lab as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations import LabOperations, agents, nodes, upgrade
from tests.lab.conftest import Raise
from tests.lab.tools import reach_each_other, shape
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow(first=True)

WORKER = "lab-worker"
RULE, REDIRECT = "1.13.18", "1.20.3"


class Interrupter:
    """Interrupts at the end of the lab's next commands but so many."""

    def __init__(self, lab: Lab) -> None:
        self._inner = lab.sandbox.run
        self.left: int | None = None

    def __call__(self, *args: Any, **options: Any) -> str:
        """Run a command."""
        output = self._inner(*args, **options)
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise KeyboardInterrupt
        return output


def pods(operations: LabOperations) -> None:
    """A pod comes and goes."""
    operations.delete_pod(operations.create_pod(WORKER))


def device(operations: LabOperations) -> None:
    """The device goes down and the port is blocked."""
    operations.device_down(WORKER)
    operations.block_port(WORKER)


def leaves(operations: LabOperations) -> None:
    """A node with one more pod is drained, leaves and comes back."""
    operations.create_pod(WORKER)
    operations.drain_node(WORKER)
    operations.remove_node(WORKER)
    operations.add_node(WORKER)


PULLS: dict[str, Callable[[LabOperations], object]] = {
    "restart": lambda operations: operations.restart_agents([WORKER, "lab-control-plane"]),
    "key": lambda operations: operations.replace_key(WORKER),
    "restart node": lambda operations: operations.restart_node(WORKER),
    "pods": pods,
    "device": device,
    "leaves": leaves,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks at what is away, so it need not be away for long."""
    monkeypatch.setattr(agents, "AGENT_SECONDS", 0.0)
    monkeypatch.setattr(upgrade, "AGENT_SECONDS", 0.0)
    monkeypatch.setattr(nodes, "RESTART_SECONDS", 0.0)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("spec", "to", "names"),
    [
        ({"version": RULE}, "1.15.10", ["pods", "leaves", "restart node"]),
        ({"version": REDIRECT, "nodes": 2}, RULE, ["key", "device", "upgrade"]),
        ({"version": "1.15.10", "fallback": True, "nodes": 2}, RULE, ["restart", "upgrade"]),
    ],
)
def test_whatever_is_interrupted_wherever(raise_lab: Raise, spec: dict[str, Any], to: str, names: list[str]) -> None:
    cluster = raise_lab(**spec)
    lab, before = cluster.lab, shape(cluster)
    lab.sandbox.run = interrupter = Interrupter(lab)  # type: ignore[method-assign]
    pulls: dict[str, Callable[[LabOperations], object]] = {
        **PULLS,
        "upgrade": lambda operations: operations.upgrade(to),
    }
    for name, pull in ((name, pulls[name]) for name in names):
        for step in range(30):
            interrupter.left = step
            try:
                pull(cluster.operations)
            except KeyboardInterrupt:
                cluster.operations.restore()
                assert shape(cluster) == before, (name, step)
                continue
            break
        else:
            raise AssertionError(f"{name} was always interrupted")
        interrupter.left = None
        if name != "upgrade":
            cluster.operations.restore()
            cluster.operations.restore()
            assert shape(cluster) == before, name
    reach_each_other(lab)
    for node in lab.layout:
        assert cluster.node_agent(node.name).exchange(b'{"op": "hello"}\n', timeout=PATIENCE)
        assert cluster.pod_agent(node.test_pod.pod).exchange(b'{"op": "hello"}\n', timeout=PATIENCE)
