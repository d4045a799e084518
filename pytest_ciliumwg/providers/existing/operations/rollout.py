"""Wait until every Cilium agent runs a version and is ready."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import same_version
from pytest_ciliumwg.providers.existing.agent_pods import RunningAgent
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from pytest_ciliumwg.waiting import wait_for

_TAG = re.compile(r":([^:/@]+)(?:@|$)")


class Rollout:
    """The change of all agents to one version, as the API and the agents show it."""

    def __init__(self, context: ContainerContext, version: str) -> None:
        self._context = context
        self._version = version
        self._told: dict[str, str] = {}
        """Pod's uid → the version that its agent tells, where its image does not."""
        self._done = -1
        """How many agents were done when they were looked at last; -1: the API server did not answer."""

    def await_end(self, limit: float | None = None) -> None:
        """Wait until it is done.

        Args:
            limit: Seconds that it may take altogether; None: no limit while the number of agents that are done
                changes, because a large cluster takes long.

        Raises:
            ProviderError: time is up, or that number has not changed for as long as agents have to get ready.
        """
        timeout = self._context.spec.timeout
        why = wait_for(
            self._missing,
            seconds=timeout if limit is None else limit,
            poll=self._context.spec.retry_policy.poll,
            progress=self._context.progress,
            doing=f"existing: waiting for Cilium {self._version}: ",
            advance=(lambda: self._done) if limit is None else None,
        )
        if why:
            how = f"has not got on for {timeout:g} s" if limit is None else f"was not done within {limit:g} s"
            raise ProviderError(f"the change to Cilium {self._version} {how}: {why}{self._held_back()}")

    def _missing(self) -> str:
        """What is missing; empty when nothing is. An API server that does not answer now is missing too."""
        try:
            agents = self._context.cilium.agents()
            nodes = sorted(node.name for node in self._context.cilium.nodes())
            self._done, why = self._compare(agents, nodes)
        except KubeError as error:
            if not error.passing:
                raise
            self._done, why = -1, str(error)
        return why

    def _compare(self, agents: Mapping[str, RunningAgent], nodes: list[str]) -> tuple[int, str]:
        """How many agents are done, and what is missing."""
        well = {node: agent for node, agent in agents.items() if not agent.trouble}
        outdated = {node: agent for node, agent in well.items() if not self._runs_it(agent)}
        done = len(well) - len(outdated)
        counted = f"{done} of {len(nodes)} agents run it"
        if absent := [node for node in nodes if node not in agents]:
            return done, f"{counted}, node {absent[0]} has no agent now"
        if unwell := sorted(agents.keys() - well.keys()):
            return done, f"{counted}, on node {unwell[0]} {agents[unwell[0]].trouble}"
        if outdated:
            node = min(outdated)
            return done, f"{counted}, node {node} still has {outdated[node].pod.image or 'another version'}"
        return done, ""

    def _runs_it(self, agent: RunningAgent) -> bool:
        tag = _TAG.search(agent.pod.image)
        try:
            tagged = same_version(tag[1] if tag else "", self._version)
        except ValueError:
            tagged = False
        # Who builds images may count them in another way, or name them by digest alone: then the agent knows.
        return tagged or self._tells(agent)

    def _tells(self, agent: RunningAgent) -> bool:
        if agent.uid not in self._told:
            try:
                self._told[agent.uid] = self._context.cilium.told.version_at(agent.pod.name)
            except ProviderError:
                return False
        return same_version(self._told[agent.uid], self._version)

    def _held_back(self) -> str:
        """Why a DaemonSet does not replace its pods, if that is the reason."""
        try:
            return held_back(self._context)
        except ProviderError:
            return ""


def held_back(context: ContainerContext) -> str:
    """A clause for a DaemonSet that replaces no pod by itself; empty for others."""
    name = context.cilium.names.workload
    workload = context.kube.get("daemonsets", name, namespace=context.cilium.namespace) or {}
    strategy = ((workload.get("spec") or {}).get("updateStrategy") or {}).get("type")
    if strategy != "OnDelete":
        return ""
    why = f"; the update strategy of its DaemonSet {name} is OnDelete, so the pods stay until somebody"
    return f"{why} removes them: set RollingUpdate"
