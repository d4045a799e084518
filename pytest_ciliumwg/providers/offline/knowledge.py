"""What an input tells of its cluster: nodes, pods, configuration; and what it does not tell, with the reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from operator import contains
from typing import Any

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.agent_history import AgentHistory
from pytest_ciliumwg.model.cluster import CiliumConfig, Member, Node, Pod, pods_on
from pytest_ciliumwg.observe.agent_history import histories_from_pods
from pytest_ciliumwg.observe.cilium import known_nodes_from_agent, version_from_agent
from pytest_ciliumwg.observe.cilium_config import config_from_configmap
from pytest_ciliumwg.observe.debuginfo import settings_from_debuginfo
from pytest_ciliumwg.observe.json_reader import Value, decode
from pytest_ciliumwg.observe.kubernetes import (
    ENDED,
    NodeFacts,
    PodFacts,
    endpoints_from_slices,
    node_facts,
    nodes_from_ciliumnodes,
    pod_facts,
    pods_from_ciliumendpoints,
    pods_from_pods,
    unmanaged,
)
from pytest_ciliumwg.observe.sections import Reader
from pytest_ciliumwg.providers.offline.contents import OBSERVED, Contents, moment

_DEBUGINFO = "debuginfo"
_NEW_SECONDS = 120.0
"""A pod that was started so long ago is new."""
COLLECT = "`pytest-ciliumwg collect` reads it, or a whole `cilium sysdump`"


@dataclass
class Knowledge:
    """The cluster, as one input has it."""

    contents: Contents
    problems: list[str] = field(default_factory=list)
    """What could not be understood, a sentence each."""
    missing: dict[str, str] = field(default_factory=dict)
    """`nodes`, `pods` or `members` → why they are not known."""

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes as CiliumNodes publish them; without those, what the outputs tell of them."""
        raw = self.contents.objects.get("ciliumnodes")
        try:
            if raw:
                return tuple(sorted(nodes_from_ciliumnodes(raw), key=lambda node: node.name))
            self.missing["nodes"] = f"the input has no CiliumNodes: {COLLECT}"
        except ObservationError as error:
            self.missing["nodes"] = f"the CiliumNodes of the input cannot be understood: {error}"
        return self._nodes_otherwise()

    def _nodes_otherwise(self) -> tuple[Node, ...]:
        addresses: dict[str, dict[Any, None]] = {}
        for outputs in self.contents.outputs.values():
            try:
                for address, name in known_nodes_from_agent(outputs["node list -o json"]).items():
                    addresses.setdefault(name.rpartition("/")[2], {})[address] = None
            except (KeyError, ObservationError):
                continue
        for facts in self.node_facts.values():
            addresses.setdefault(facts.name, {})
        return tuple(Node(name=name, addresses=tuple(found)) for name, found in sorted(addresses.items()))

    @cached_property
    def pods(self) -> frozenset[Pod]:
        """Every pod with addresses of its own."""
        try:
            found = self._pods()
        except ObservationError as error:
            self.missing["pods"] = f"the pods of the input cannot be understood: {error}"
            return frozenset()
        if not found:
            self.missing.setdefault("pods", f"the input knows of no pod with an address of its own: {COLLECT}")
        return found

    def _pods(self) -> frozenset[Pod]:
        objects = self.contents.objects
        if "ciliumendpoints" in objects or "ciliumendpointslices" in objects:
            sliced = endpoints_from_slices(objects.get("ciliumendpointslices", ()))
            return frozenset(pods_from_ciliumendpoints([*objects.get("ciliumendpoints", ()), *sliced], self.nodes))
        if "pods" in objects:
            return frozenset(pods_from_pods(objects["pods"], self.nodes))
        self.missing["pods"] = f"the input has neither CiliumEndpoints nor pods: {COLLECT}"
        return frozenset()

    @cached_property
    def since(self) -> dict[str, float]:
        """Pod's key → when it was started, where the input tells that."""
        found: dict[str, float] = {}
        for raw in self.contents.objects.get("pods", ()):
            metadata, started = raw.get("metadata") or {}, (raw.get("status") or {}).get("startTime")
            since = _moment(started)
            if since is not None:
                found[f"{metadata.get('namespace')}/{metadata.get('name')}"] = since
        return found

    @cached_property
    def node_facts(self) -> dict[str, NodeFacts]:
        """What Kubernetes knows of the nodes, by name."""
        return {facts.name: facts for facts in self._each("nodes", node_facts)}

    @cached_property
    def pod_facts(self) -> Sequence[PodFacts]:
        """What Kubernetes knows of the pods."""
        return self._each("pods", pod_facts)

    def _each(self, what: str, parse: Any) -> list[Any]:
        found = []
        for raw in self.contents.objects.get(what, ()):
            try:
                found.append(parse(raw))
            except ObservationError as error:
                self.problems.append(f"{error}: it was left out")
        return found

    def members(self) -> tuple[Member, ...]:
        """All nodes of the cluster, those without Cilium too."""
        lacking = [what for what in ("nodes", "pods") if what not in self.contents.objects]
        if lacking:
            self.missing["members"] = (
                f"the input has no list of Kubernetes' {' and '.join(lacking)}, so a node without Cilium may be "
                f"missing: {COLLECT}"
            )
        published = {node.name for node in self.nodes}
        with_pods = {pod.node for pod in self.pod_facts if not pod.host_network and pod.phase not in ENDED}
        facts = self.node_facts
        return tuple(
            Member(
                name=name,
                labels=facts[name].labels if name in facts else {},
                left_out=None if name in published else facts[name].without_cilium(partial(contains, with_pods, name)),
                unmanaged=pods_on(name, self._unmanaged),
            )
            for name in sorted(published | facts.keys())
        )

    @cached_property
    def _unmanaged(self) -> tuple[Pod, ...] | None:
        """The pods that Cilium did not know; None where no endpoints are told, or no pods.

        Those that had just been started do not count: endpoints and pods were not listed in one moment.
        """
        objects = self.contents.objects
        if not self.pods or "pods" not in objects or not objects.keys() & {"ciliumendpoints", "ciliumendpointslices"}:
            return None
        published = {node.name for node in self.nodes}
        found = unmanaged((pod for pod in self.pod_facts if pod.node in published), self.pods)
        return tuple(pod for pod in found if self.since.get(pod.key, 0.0) < self.collected_at - _NEW_SECONDS)

    @cached_property
    def outputs(self) -> dict[str, Mapping[str, str]]:
        """Node → the outputs that were read on it."""
        homes = {pod.name: pod.node for pod in self.pod_facts if pod.node}
        names = {node.name for node in self.nodes}
        found: dict[str, Mapping[str, str]] = {}
        for place, outputs in self.contents.outputs.items():
            hostname = outputs.get("hostname", "").strip()
            by_pod = next((node for pod, node in homes.items() if pod in place), None)
            said = (by_pod, place, hostname, *(name for name in names if name.partition(".")[0] == hostname))
            node = next((name for name in said if name in names), hostname or None)
            if node is None or node not in names:
                self.problems.append(
                    f"the outputs in {place or 'it'} are of no node of this cluster, and were left out"
                )
            elif node in found:
                self.problems.append(f"node {node} is in it more than once: the outputs in {place} were left out")
            else:
                found[node] = outputs
        return found

    @cached_property
    def agents(self) -> dict[str, AgentHistory]:
        """Node → what became of its agent, as its pod and its log tell."""
        found = histories_from_pods(self.contents.objects.get("pods", ()))
        homes = {pod.name: pod.node for pod in self.pod_facts if pod.node}
        for pod, lines in self.contents.logs.items():
            if node := homes.get(pod):
                found[node] = replace(found.get(node, AgentHistory()), lines=lines)
        return {node.name: found[node.name] for node in self.nodes if node.name in found}

    def versions(self) -> dict[str, str]:
        """Node → the version of its agent, where it tells that."""
        found = {}
        for node, outputs in self.outputs.items():
            try:
                found[node] = _version(outputs)
            except ObservationError:
                continue
        return found

    def configs(self, otherwise: str | None) -> dict[str, CiliumConfig]:
        """Node → what its agent is configured to do; `otherwise` is the version of those that do not tell theirs.

        Raises:
            ObservationError: the input tells no configuration.
        """
        versions, data = self.versions(), self.contents.config
        most = Counter(versions.values()).most_common(1)
        usual = most[0][0] if most else otherwise
        found = {}
        for node in self.nodes:
            settings = {**(data or {}), **_settings(self.outputs.get(node.name, {}))}
            if settings and usual:
                found[node.name] = config_from_configmap(settings, versions.get(node.name, usual))
        if not found:
            what = "neither Cilium's ConfigMap nor an agent's configuration" if usual else "no agent's version"
            raise ObservationError(f"the input has {what}: {COLLECT}")
        return found

    @cached_property
    def collected_at(self) -> float:
        """When it was collected: as its files' names tell, else now."""
        return moment(self.contents.stamps[0]) if self.contents.stamps else time.time()


def _moment(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp() if text else None
    except ValueError:
        return None


def _version(outputs: Mapping[str, str]) -> str:
    """The version that an agent tells in `version`, else in `debuginfo`."""
    if "version" in outputs:
        return version_from_agent(outputs["version"])
    told = decode(_debuginfo(outputs), "the agent's `debuginfo`")["cilium-version"].text()
    return told.split()[0]


def _debuginfo(outputs: Mapping[str, str]) -> str:
    """What the agent's `debuginfo` printed, by itself or among what `pytest-ciliumwg collect` read."""
    if _DEBUGINFO in outputs:
        return outputs[_DEBUGINFO]
    if OBSERVED in outputs:
        return Reader(outputs[OBSERVED]).section(_DEBUGINFO).good()
    raise Value(None, "the input").wrong("has no output of the agent's `debuginfo`")


def _settings(outputs: Mapping[str, str]) -> Mapping[str, str]:
    try:
        return settings_from_debuginfo(_debuginfo(outputs))
    except ObservationError:
        return {}
