"""Wait until every Cilium agent runs a version and is ready."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import same_version
from pytest_ciliumwg.providers.existing.agent_pods import RunningAgent
from pytest_ciliumwg.providers.existing.cilium import AGENT_WORKLOAD
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.kubernetes.errors import KubeError

_TAG = re.compile(r":([^:/@]+)(?:@|$)")


class Rollout:
    """The way of all agents to one version, as it is seen from outside."""

    def __init__(self, context: ContainerContext, version: str) -> None:
        self._context = context
        self._version = version
        self._told: dict[str, str] = {}
        """Pod's uid → the version that its agent tells, where its image does not."""

    def await_end(self, limit: float | None = None) -> None:
        """Wait until it is done.

        Args:
            limit: Seconds that it may take altogether; None: as long as it gets on, for a large cluster takes its time.

        Raises:
            ProviderError: time is up, or nothing has changed for as long as agents have to get ready.
        """
        began = moved = time.monotonic()
        shown, most = "", -1
        while True:
            done, why = self._look()
            now = time.monotonic()
            if not why:
                return
            if done != most:
                most, moved = done, now
            if limit is None and now - moved > self._context.spec.timeout:
                raise ProviderError(self._stuck(f"has not got on for {self._context.spec.timeout:g} s", why))
            if limit is not None and now - began > limit:
                raise ProviderError(self._stuck(f"was not done within {limit:g} s", why))
            if why != shown:
                self._context.progress(f"existing: waiting for Cilium {self._version}: {why}")
                shown = why
            time.sleep(self._context.spec.retry_policy.poll)

    def _stuck(self, how: str, why: str) -> str:
        return f"the change to Cilium {self._version} {how}: {why}{self._held_back()}"

    def _look(self) -> tuple[int, str]:
        """How many agents are done, and what is missing; empty when nothing is."""
        try:
            agents = self._context.cilium.agents()
            nodes = sorted(node.name for node in self._context.cilium.nodes())
            return self._missing(agents, nodes)
        except KubeError as error:
            if not error.passing:
                raise
            return -1, str(error)

    def _missing(self, agents: Mapping[str, RunningAgent], nodes: list[str]) -> tuple[int, str]:
        well = {node: agent for node, agent in agents.items() if not agent.trouble}
        other = {node: agent for node, agent in well.items() if not self._runs_it(agent)}
        done = len(well) - len(other)
        counted = f"{done} of {len(nodes)} agents run it"
        if absent := [node for node in nodes if node not in agents]:
            return done, f"{counted}, node {absent[0]} has no agent now"
        if unwell := sorted(agents.keys() - well.keys()):
            return done, f"{counted}, on node {unwell[0]} {agents[unwell[0]].trouble}"
        if other:
            node = min(other)
            return done, f"{counted}, node {node} still has {other[node].pod.image or 'another version'}"
        return done, ""

    def _runs_it(self, agent: RunningAgent) -> bool:
        found = _TAG.search(agent.pod.image)
        try:
            return same_version(found[1] if found else "", self._version)
        except ValueError:  # an image of somebody's own, whose tag tells nothing: ask the agent
            return self._tells(agent)

    def _tells(self, agent: RunningAgent) -> bool:
        if agent.uid not in self._told:
            try:
                self._told[agent.uid] = self._context.cilium.version_at(agent.pod.name)
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
    workload = context.kube.get("daemonsets", AGENT_WORKLOAD, namespace=context.cilium.namespace) or {}
    strategy = ((workload.get("spec") or {}).get("updateStrategy") or {}).get("type")
    if strategy != "OnDelete":
        return ""
    why = f"; the update strategy of its DaemonSet {AGENT_WORKLOAD} is OnDelete, so the pods stay until somebody"
    return f"{why} removes them: set RollingUpdate"
