"""End Cilium agents, and wait for their successors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.existing.agent_pods import RunningAgent
from pytest_ciliumwg.providers.existing.names import Names
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext


def agents_on(context: ContainerContext, nodes: Sequence[str]) -> dict[str, RunningAgent]:
    """The present agents of these nodes.

    Raises:
        ProviderError: a node has none.
    """
    found = context.cilium.agents()
    if without := [node for node in nodes if node not in found]:
        raise ProviderError(f"node {without[0]} has no Cilium agent pod in namespace {context.cilium.namespace}")
    return {node: found[node] for node in nodes}


def restart(context: ContainerContext, present: Mapping[str, RunningAgent]) -> None:
    """Delete these agents' pods, and wait until each node has another one that is ready.

    Raises:
        ProviderError: the API refuses, or a node has none that is new and ready in time.
    """
    for agent in present.values():
        context.kube.delete("pods", agent.pod.name, namespace=context.cilium.namespace, uid=agent.uid)
    await_ready(context, list(present), [agent.uid for agent in present.values()])


def await_ready(context: ContainerContext, nodes: Sequence[str], gone: Collection[str] = ()) -> None:
    """Wait until each of these nodes has an agent that is ready and is none of those that are gone.

    Raises:
        ProviderError: time is up; the sentence says what is missing, and where.
    """
    context.wait(
        lambda: _missing(context.cilium.agents(), nodes, gone, context.cilium.names),
        f"the Cilium agents of {_named(nodes)} were not ready again",
    )


def _missing(agents: Mapping[str, RunningAgent], nodes: Sequence[str], gone: Collection[str], names: Names) -> str:
    for node in nodes:
        agent = agents.get(node)
        if agent is None:
            return (
                f"node {node} has none, so its DaemonSet does not make one: see "
                f"`kubectl -n {names.namespace} describe daemonset {names.workload}`"
            )
        if agent.uid in gone:
            return f"the pod {agent.pod.name} of node {node} was deleted and does not go"
        if agent.trouble:
            return f"on node {node} {agent.trouble}; see `kubectl -n {names.namespace} logs {agent.pod.name}`"
    return ""


def _named(nodes: Iterable[str]) -> str:
    """Some of the nodes, in words."""
    names = list(nodes)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
