"""End Cilium agents, and wait for their successors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.existing.agent_pods import RunningAgent
from pytest_ciliumwg.providers.existing.cilium import AGENT_WORKLOAD
from pytest_ciliumwg.providers.existing.levers.grip import Grip


def restart(grip: Grip, nodes: Sequence[str]) -> None:
    """Delete these nodes' agent pods, and wait until each node has another one that is ready.

    Raises:
        ProviderError: a node has no agent, or none that is new and ready in time.
    """
    before = grip.agents()
    if strangers := [node for node in nodes if node not in before]:
        raise ProviderError(f"node {strangers[0]} has no Cilium agent pod in namespace {grip.cilium.namespace}")
    for node in nodes:
        agent = before[node]
        grip.kube.delete("pods", agent.pod.name, namespace=grip.cilium.namespace, uid=agent.uid)
    await_ready(grip, nodes, [before[node].uid for node in nodes])


def await_ready(grip: Grip, nodes: Sequence[str], gone: Collection[str] = ()) -> None:
    """Wait until each of these nodes has an agent that is ready and is none of those that are gone.

    Raises:
        ProviderError: time is up; the sentence says what is missing, and where.
    """
    grip.wait(
        lambda: _missing(grip.agents(), nodes, gone, grip.cilium.namespace),
        f"the Cilium agents of {_named(nodes)} were not ready again",
    )


def _missing(agents: Mapping[str, RunningAgent], nodes: Sequence[str], gone: Collection[str], namespace: str) -> str:
    for node in nodes:
        agent = agents.get(node)
        if agent is None:
            return (
                f"node {node} has none, so its DaemonSet does not make one: see "
                f"`kubectl -n {namespace} describe daemonset {AGENT_WORKLOAD}`"
            )
        if agent.uid in gone:
            return f"the pod {agent.pod.name} of node {node} was deleted and does not go"
        if agent.trouble:
            return f"on node {node} {agent.trouble}; see `kubectl -n {namespace} logs {agent.pod.name}`"
    return ""


def _named(nodes: Iterable[str]) -> str:
    """Some of the nodes, in words."""
    names = list(nodes)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
