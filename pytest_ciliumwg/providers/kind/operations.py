"""The operations of a kind cluster: those of any cluster, and its nodes, which are containers here."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ciliumwg.providers.existing.operations import ContainerContext, ExistingOperations, Upgrader
from pytest_ciliumwg.providers.existing.operations.agents import await_ready
from pytest_ciliumwg.providers.kind.nodes import Nodes


class KindOperations(ExistingOperations):
    """What can be changed in a kind cluster."""

    def __init__(self, context: ContainerContext, upgrader: Upgrader, nodes: Nodes) -> None:
        super().__init__(context, upgrader)
        self._nodes = nodes

    def drain_node(self, node: str) -> None:
        """Cordon a node and evict its pods, but not those of DaemonSets."""
        self._nodes.check(node)
        self._undo_log.add(f"node {node}", lambda: self.add_node(node))
        self._nodes.cordon(node)
        self._nodes.evict(node)

    def remove_node(self, node: str) -> None:
        """Drain a node, stop its container, and delete what the API has of it."""
        self.drain_node(node)
        # From here on its agents are not looked for.
        self._context.test_agents.leave_out(node)
        self._nodes.stop(node)
        self._nodes.delete(node)

    def add_node(self, node: str) -> None:
        """Start a node's container, if it does not run, and wait until the node has all that it had."""
        self._nodes.check_name(node)
        self._nodes.start(node)
        self._nodes.await_ready(node)
        self._nodes.uncordon(node)
        self._context.test_agents.take_back(node)
        self._await_agents([node])
        self._undo_log.done(f"node {node}")

    def restart_node(self, node: str) -> None:
        """Restart a node's container, and wait until its agent and pods have been started anew."""
        self._nodes.check(node)
        self._undo_log.add(f"node {node}", lambda: self.add_node(node))
        before = self._nodes.containers(node)
        self._nodes.restart(node)
        self._nodes.await_ready(node, gone=before)
        self._await_agents([node])
        self._undo_log.done(f"node {node}")

    def _await_agents(self, nodes: Sequence[str]) -> None:
        await_ready(self._context, nodes)
        self._context.test_agents.settle()
