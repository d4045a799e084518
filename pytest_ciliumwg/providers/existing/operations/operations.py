"""The operations of an existing cluster: all that its API allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.existing.operations import agents, extra_pod, in_container
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.existing.operations.ipcache import ipcache_switch
from pytest_ciliumwg.providers.existing.operations.self_undoing import DEAD_MAN, Switch
from pytest_ciliumwg.providers.existing.operations.upgraders import Upgrader
from pytest_ciliumwg.providers.undo_log import UndoLog


class ExistingOperations:
    """What can be changed in an existing cluster.

    How to undo a change is noted before the change begins, and kept until it is undone. A version that Cilium was
    brought to stays: going back is a change of its own.
    """

    dead_man = float(DEAD_MAN)
    """Seconds after which a change within a node undoes itself."""

    def __init__(self, context: ContainerContext, upgrader: Upgrader) -> None:
        self._context = context
        self._upgrader = upgrader
        self._undo_log = UndoLog()
        self._ipcaches: dict[str, Switch] = {}
        """Node → what puts its deleted ipcache entries back."""

    def unavailable(self, operation: str) -> str:
        """Why an operation cannot be used here; empty when it can."""
        if operation == "delete_ipcache":
            return expectations_for(self._context.config()).without_strict_egress()
        if hasattr(self, operation):
            return ""
        return f"{operation} needs access to the nodes themselves: use --ciliumwg-provider=kind"

    def restart_agents(self, nodes: Sequence[str]) -> None:
        """Delete the agent pods of these nodes, and wait until their successors are ready."""
        present = agents.agents_on(self._context, nodes)
        self._undo_log.add(_agents(nodes), lambda: agents.await_ready(self._context, nodes))
        agents.restart(self._context, present)
        self._undo_log.done(_agents(nodes))

    def create_pod(self, node: str) -> Pod:
        """Make one more pod on a node, and wait until its agent answers."""
        name = extra_pod.new_name()
        self._undo_log.add(f"pod {name}", lambda: extra_pod.delete(self._context, name))
        return extra_pod.create(self._context, name, node)

    def delete_pod(self, pod: Pod) -> None:
        """Delete a pod of `create_pod` with grace period 0, and wait until it is gone."""
        extra_pod.delete(self._context, pod.name)
        self._undo_log.done(f"pod {pod.name}")

    def device_down(self, node: str) -> None:
        """Set cilium_wg0 down; a process on the node sets it up after `dead_man` seconds if `device_up` does not."""
        script = in_container.device_switch_of(self._context).pull(self.dead_man)
        self._carry_out("device", node, lambda: self.device_up(node), script, "set the WireGuard device down")

    def device_up(self, node: str) -> None:
        """Set it up, with the routes through it."""
        in_container.run(
            self._context, node, in_container.device_switch_of(self._context).release(), "set the WireGuard device up"
        )
        self._undo_log.done(f"device of {node}")

    def block_port(self, node: str) -> None:
        """Drop WireGuard's packets in and out; a process on the node ends it after `dead_man` seconds at the latest."""
        script = in_container.port_switch_of(self._context).pull(self.dead_man)
        self._carry_out("port", node, lambda: self.unblock_port(node), script, "block WireGuard's port")

    def unblock_port(self, node: str) -> None:
        """Stop dropping them."""
        in_container.run(
            self._context, node, in_container.port_switch_of(self._context).release(), "unblock WireGuard's port"
        )
        self._undo_log.done(f"port of {node}")

    def delete_ipcache(self, node: str) -> None:
        """Delete what a node knows of the other nodes' test pods; a process there puts it back as above."""
        # Asked again after an interruption, the node has none of them any more to read.
        if node not in self._ipcaches:
            self._ipcaches[node] = ipcache_switch(self._context, node)
        script = self._ipcaches[node].pull(self.dead_man)
        try:
            self._carry_out("ipcache", node, lambda: self.restore_ipcache(node), script, "delete ipcache entries")
        except in_container.NothingChangedError:
            del self._ipcaches[node]
            raise

    def restore_ipcache(self, node: str) -> None:
        """Put the entries back."""
        if switch := self._ipcaches.get(node):
            in_container.run(self._context, node, switch.release(), "put ipcache entries back")
            del self._ipcaches[node]
        self._undo_log.done(f"ipcache of {node}")

    def _carry_out(self, what: str, node: str, undo: Callable[[], None], script: str, doing: str) -> None:
        agents.agents_on(self._context, [node])
        self._undo_log.add(f"{what} of {node}", undo)
        try:
            in_container.run(self._context, node, script, doing)
        except in_container.NothingChangedError:
            self._undo_log.done(f"{what} of {node}")
            raise

    def replace_key(self, node: str) -> None:
        """Remove a node's key file and restart its agent, which makes and publishes another key."""
        agents.agents_on(self._context, [node])
        self._undo_log.add(_agents([node]), lambda: agents.await_ready(self._context, [node]))
        in_container.replace_key(self._context, node)
        self._undo_log.done(_agents([node]))

    def check_upgrade(self, versions: Sequence[str]) -> None:
        """Refuse upgrades that cannot work, before anything is changed."""
        self._upgrader.check(versions)

    def upgrade(self, version: str) -> None:
        """Bring Cilium to a version, and wait until every agent runs it and is ready."""
        self._upgrader.go(version)
        self._context.follow(version)

    def catch_up(self) -> None:
        """Read anew what Cilium is, in its configuration and its agents' version; what was declared stays declared."""
        self._context.follow(None)

    def renew_pods(self) -> None:
        """Make the test pods and their Services anew."""
        self._undo_log.add("test pods", self._context.test_agents.settle)
        self._context.test_agents.renew()
        self._undo_log.done("test pods")

    def restore(self) -> None:
        """Undo everything that is not undone, the latest first; safe to call twice, and at any moment."""
        self._undo_log.restore()


def _agents(nodes: Sequence[str]) -> str:
    """The undo log's name for the restart of these nodes' agents."""
    return f"agents of {', '.join(nodes)}"
