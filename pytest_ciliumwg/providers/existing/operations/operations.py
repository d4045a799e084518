"""The levers of an existing cluster: all that its API allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.existing.operations import agents, extra_pod, in_container
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.existing.operations.self_undoing import DEAD_MAN
from pytest_ciliumwg.providers.existing.operations.upgraders import Upgrader

_NODES = frozenset({"drain_node", "remove_node", "add_node", "restart_node"})


class ExistingOperations:
    """What can be changed in an existing cluster.

    Of each change it is noted how to undo it before it is made, and the note stays until that is done. A version that
    Cilium was brought to stays: going back is a change of its own.
    """

    dead_man = float(DEAD_MAN)
    """Seconds after which a change within a node undoes itself."""

    def __init__(self, context: ContainerContext, way: Upgrader) -> None:
        self._context = context
        self._way = way
        self._undo: dict[tuple[str, str], Callable[[], None]] = {}
        """(what, where) → what undoes it."""

    def unavailable(self, operation: str) -> str:
        """Why a lever cannot be used here; empty when it can."""
        if operation in _NODES:
            return f"{operation} needs access to the nodes themselves: use --ciliumwg-provider=kind"
        return ""

    def restart_agents(self, nodes: Sequence[str]) -> None:
        """Delete the agent pods of these nodes, and wait until their successors are ready."""
        present = agents.agents_on(self._context, nodes)
        self._note("agents", ",".join(nodes), lambda: agents.await_ready(self._context, nodes))
        agents.restart(self._context, present)
        self._forget("agents", ",".join(nodes))

    def create_pod(self, node: str) -> Pod:
        """Make one more pod on a node, and wait until its agent answers."""
        name = extra_pod.new_name()
        self._note("pod", name, lambda: extra_pod.delete(self._context, name))
        return extra_pod.create(self._context, name, node)

    def delete_pod(self, pod: Pod) -> None:
        """Delete a pod of `create_pod` with grace period 0, and wait until it is gone."""
        extra_pod.delete(self._context, pod.name)
        self._forget("pod", pod.name)

    def drain_node(self, node: str) -> None:
        """Not available."""
        self._refuse("drain_node", node)

    def remove_node(self, node: str) -> None:
        """Not available."""
        self._refuse("remove_node", node)

    def add_node(self, node: str) -> None:
        """Not available."""
        self._refuse("add_node", node)

    def restart_node(self, node: str) -> None:
        """Not available."""
        self._refuse("restart_node", node)

    def _refuse(self, operation: str, node: str) -> None:
        raise ProviderError(f"node {node}: {self.unavailable(operation)}")

    def device_down(self, node: str) -> None:
        """Set cilium_wg0 down; it comes up by itself when nobody does it in time."""
        script = in_container.device_of(self._context).pull(self.dead_man)
        self._pull("device", node, lambda: self.device_up(node), script, "set the WireGuard device down")

    def device_up(self, node: str) -> None:
        """Set it up, with the routes through it."""
        in_container.run(
            self._context, node, in_container.device_of(self._context).release(), "set the WireGuard device up"
        )
        self._forget("device", node)

    def block_port(self, node: str) -> None:
        """Drop WireGuard's packets in and out; that ends by itself when nobody ends it in time."""
        script = in_container.port_of(self._context).pull(self.dead_man)
        self._pull("port", node, lambda: self.unblock_port(node), script, "block WireGuard's port")

    def unblock_port(self, node: str) -> None:
        """Stop dropping them."""
        in_container.run(self._context, node, in_container.port_of(self._context).release(), "unblock WireGuard's port")
        self._forget("port", node)

    def _pull(self, what: str, node: str, undo: Callable[[], None], script: str, doing: str) -> None:
        agents.agents_on(self._context, [node])
        self._note(what, node, undo)
        try:
            in_container.run(self._context, node, script, doing)
        except in_container.NothingChangedError:
            self._forget(what, node)
            raise

    def replace_key(self, node: str) -> None:
        """Remove a node's key file and restart its agent, which makes and publishes another key."""
        agents.agents_on(self._context, [node])
        self._note("agents", node, lambda: agents.await_ready(self._context, [node]))
        in_container.replace_key(self._context, node)
        self._forget("agents", node)

    def check_upgrade(self, versions: Sequence[str]) -> None:
        """Refuse what cannot work before anything is changed."""
        self._way.check(versions)

    def upgrade(self, version: str) -> None:
        """Bring Cilium to a version, and wait until every agent runs it and is ready."""
        self._way.go(version)
        self._context.follow(version)

    def catch_up(self) -> None:
        """Read anew what Cilium is, in its configuration and its agents' version; what was declared stays declared."""
        self._context.follow(None)

    def renew_pods(self) -> None:
        """Make the test pods and their Services anew."""
        self._note("test pods", "", self._context.test_agents.settle)
        self._context.test_agents.renew()
        self._forget("test pods", "")

    def restore(self) -> None:
        """Undo everything that is not undone; safe to call twice, and at any moment."""
        failed = []
        # Agents first: what is undone within a node needs its agent's container.
        for what in sorted(self._undo):
            try:
                self._undo[what]()
                self._forget(*what)
            except ProviderError as error:
                failed.append(str(error))
        if failed:
            raise ProviderError("; ".join(failed))

    def _note(self, what: str, where: str, undo: Callable[[], None]) -> None:
        self._undo[what, where] = undo

    def _forget(self, what: str, where: str) -> None:
        self._undo.pop((what, where), None)
