"""What each change does, by the operations that a cluster has."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.model.timeline import ChangeStep
from pytest_ciliumwg.providers.base import NodeOperations, Operations, Progress
from pytest_ciliumwg.waiting import wait_for

OUT_SECONDS = 3.0
"""How long a device is down or a port blocked: long enough that every flow meets it several times."""
CHURN_ROUNDS = 10
CHURN_SECONDS = 0.3
"""How long a pod sends before it is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationContext:
    """What a change has to work with."""

    operations: Operations
    node: str
    """The node that it hits, where it hits one."""
    nodes: Sequence[str]
    """All nodes under test."""
    note: Callable[[ChangeStep, str, str | None], None]
    """Puts on record what is being done, in words too, and to which node."""
    send_from: Callable[[Pod], None]
    """Lets a pod of `create_pod` send to another node until it is deleted."""
    progress: Progress
    """Told of what takes long."""


Action = Callable[[OperationContext], None]


def restart_agent(context: OperationContext) -> None:
    """Restart the Cilium agent of one node."""
    context.note("restart-agent", "restarting the Cilium agent", context.node)
    context.operations.restart_agents([context.node])


def restart_all_agents(context: OperationContext) -> None:
    """Restart the Cilium agents of all nodes at once."""
    context.note("restart-agent", "restarting all Cilium agents", None)
    context.operations.restart_agents(list(context.nodes))


def churn_pods(context: OperationContext) -> None:
    """Make pods that send at once and as fast as they can, and delete them in the middle of it."""
    for number in range(CHURN_ROUNDS):
        node = context.nodes[number % len(context.nodes)]
        context.note("create-pod", "creating a pod", node)
        pod = context.operations.create_pod(node)
        context.send_from(pod)
        time.sleep(CHURN_SECONDS)
        context.note("delete-pod", f"deleting the pod {pod.key} while it sends", node)
        context.operations.delete_pod(pod)


def replace_key(context: OperationContext) -> None:
    """Take a node's private key away."""
    _carry_out(context, "replace-key", "replacing the private key", context.operations.replace_key)


def device_down(context: OperationContext) -> None:
    """Set the WireGuard device down for some seconds."""
    _carry_out(context, "device-down", "setting cilium_wg0 down", context.operations.device_down)
    time.sleep(OUT_SECONDS)
    _carry_out(context, "device-up", "setting cilium_wg0 up", context.operations.device_up)


def lose_ipcache(context: OperationContext) -> None:
    """Let the node's datapath not know for some seconds which nodes the test pods' addresses are on."""
    delete, restore = context.operations.delete_ipcache, context.operations.restore_ipcache
    _carry_out(context, "delete-ipcache", "deleting the ipcache entries of other nodes' test pods", delete)
    time.sleep(OUT_SECONDS)
    _carry_out(context, "restore-ipcache", "putting the ipcache entries back", restore)


def block_port(context: OperationContext) -> None:
    """Drop WireGuard's packets for some seconds."""
    _carry_out(context, "block-port", "blocking WireGuard's UDP port", context.operations.block_port)
    time.sleep(OUT_SECONDS)
    _carry_out(context, "unblock-port", "unblocking WireGuard's UDP port", context.operations.unblock_port)


def restart_node(context: OperationContext) -> None:
    """Restart a node."""
    _carry_out(context, "restart-node", "restarting the node", _nodes(context).restart_node)


def drain_node(context: OperationContext) -> None:
    """Cordon and drain a node."""
    _carry_out(context, "drain-node", "draining the node", _nodes(context).drain_node)


def remove_node(context: OperationContext) -> None:
    """Take a node out of the cluster."""
    _carry_out(context, "remove-node", "removing the node", _nodes(context).remove_node)


def add_node(context: OperationContext) -> None:
    """Bring a node back that was removed before."""
    _carry_out(context, "add-node", "adding the node", _nodes(context).add_node)


def _nodes(context: OperationContext) -> NodeOperations:
    if not isinstance(context.operations, NodeOperations):
        raise ProviderError(f"node {context.node}: this cluster's machines cannot be reached")
    return context.operations


def _carry_out(context: OperationContext, step: ChangeStep, what: str, operation: Callable[[str], None]) -> None:
    """Carry out an operation on the node that is hit, once it is on record."""
    context.note(step, what, context.node)
    operation(context.node)


def upgrade_to(version: str) -> Action:
    """Bring Cilium to a version."""

    def act(context: OperationContext) -> None:
        context.note("upgrade", f"bringing Cilium to {version}", None)
        context.operations.upgrade(version)

    return act


def observe_for(seconds: float) -> Action:
    """Change nothing for some time, and then take over what others have changed meanwhile."""

    def act(context: OperationContext) -> None:
        context.note("observe", "watching what others do", None)
        doing = f"watching what others do, for {seconds:g} s"
        wait_for(lambda: doing, seconds=seconds, poll=min(seconds, 1.0), progress=context.progress)
        context.operations.catch_up()

    return act
