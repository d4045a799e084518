"""Cilium in an existing cluster: where its agents are, whether they are well, their version and configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.model.cluster import CiliumConfig, Node, Pod
from pytest_ciliumwg.observe.cilium_config import config_from_configmap
from pytest_ciliumwg.observe.kubernetes import NodeFacts, node_facts, nodes_from_ciliumnodes
from pytest_ciliumwg.providers.existing.agent_pods import RunningAgent, agents_of
from pytest_ciliumwg.providers.existing.agents_told import AgentsTold, Told
from pytest_ciliumwg.providers.existing.discovery import find_names
from pytest_ciliumwg.providers.existing.endpoints import Endpoints
from pytest_ciliumwg.providers.existing.names import Hints, Names
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.remote import Place


@dataclass(frozen=True, slots=True)
class Cilium:
    """The Cilium of a cluster; every method asks the API anew; what an agent told stays as long as it runs."""

    kube: Kube
    names: Names
    told: AgentsTold
    endpoints: Endpoints = field(default_factory=Endpoints)

    @property
    def namespace(self) -> str:
        """Where its agents are."""
        return self.names.namespace

    def nodes(self) -> tuple[Node, ...]:
        """The nodes that run Cilium, by name."""
        try:
            found = nodes_from_ciliumnodes(self.kube.list("ciliumnodes"))
        except ObservationError as error:
            raise ProviderError(f"the cluster's CiliumNodes cannot be understood: {error}") from None
        return tuple(sorted(found, key=lambda node: node.name))

    def pods(self, nodes: tuple[Node, ...]) -> tuple[Pod, ...]:
        """All pods with addresses of their own, on these nodes."""
        return self.endpoints.pods(self.kube, nodes)

    def agents(self, node: str | None = None) -> dict[str, RunningAgent]:
        """Node → its Cilium agent, of all nodes or one.

        Raises:
            ProviderError: they cannot be listed or understood.
        """
        return agents_of(self.agent_pods(node), self.names.container)

    def agent_pods(self, node: str | None = None) -> list[Mapping[str, Any]]:
        """The pods of its agents, of all nodes or one, as the API has them."""
        return self.kube.list("pods", namespace=self.namespace, labels=self.names.labels, node=node)

    def agent(self, node: str) -> Place:
        """Where the agent of a node runs.

        Raises:
            ProviderError: it does not, or is not well.
        """
        agent = self.agents(node).get(node)
        if agent is None:
            raise ProviderError(f"node {node} has no Cilium agent pod in namespace {self.namespace}")
        if agent.trouble:
            raise ProviderError(f"the Cilium agent on node {node} is not running: {agent.trouble}")
        return Place(self.namespace, agent.pod.name, self.names.container)

    def configs(self) -> dict[str, CiliumConfig]:
        """Node → what its agent is configured to do; what an agent tells itself wins over the ConfigMap.

        Raises:
            ProviderError: the configuration or an agent's version cannot be read, or the versions differ.
        """
        data = self.settings()
        told = self._agents_told()
        try:
            return {node: config_from_configmap({**data, **agent.settings}, agent.version) for node, agent in told}
        except ObservationError as error:
            raise ProviderError(str(error)) from None

    def settings(self) -> Mapping[str, str]:
        """The data of Cilium's ConfigMap.

        Raises:
            ProviderError: it cannot be read.
        """
        name = self.names.config
        stored = self.kube.get("configmaps", name, namespace=self.namespace)
        if stored is None:
            raise ProviderError(
                f"there is no ConfigMap {name} in namespace {self.namespace}, where Cilium's agents are: if another "
                "one has their configuration, name it with --ciliumwg-cilium-config"
            )
        return stored.get("data") or {}

    def config(self) -> CiliumConfig:
        """What the cluster's Cilium is configured to do: where nodes differ, what most of them are.

        Raises:
            ProviderError: the configuration or an agent's version cannot be read, or the versions differ.
        """
        return Counter(self.configs().values()).most_common(1)[0][0]

    def _agents_told(self) -> list[tuple[str, Told]]:
        agents = {node: agent for node, agent in self.agents().items() if not agent.trouble}
        told = self.told.of(agents)
        if not told:
            raise ProviderError(f"no Cilium agent in namespace {self.namespace} runs, so its version cannot be read")
        counted = Counter(agent.version for agent in told.values())
        if len(counted) > 1:
            each = ", ".join(f"{version} on {count} nodes" for version, count in counted.items())
            raise ProviderError(f"the nodes run different versions of Cilium ({each}): wait until the upgrade is done")
        return sorted(told.items())


def find_cilium(kube: Kube, hints: Hints) -> Cilium:
    """Find Cilium, and how it publishes what it has.

    Raises:
        ProviderError: there is none, or its configuration cannot be read.
    """
    names = find_names(kube, hints)
    found = Cilium(kube, names, AgentsTold(kube, names))
    return replace(found, endpoints=Endpoints.of(found.settings()))


def check_health(cilium: Cilium, nodes: Mapping[str, NodeFacts], wanted: tuple[str, ...]) -> None:
    """Refuse a cluster whose nodes or agents are broken: nothing about encryption would follow from it.

    Raises:
        ProviderError: the first thing that is broken.
    """
    agents = cilium.agents()
    for name in wanted:
        facts = nodes.get(name)
        if facts is None:
            raise ProviderError(
                f"the CiliumNode {name} belongs to no node of the cluster: a left-over of a node that is gone; "
                f"delete it, or leave it out with --ciliumwg-node-selector"
            )
        if not facts.ready:
            raise ProviderError(f"node {name} is NotReady: repair it, or leave it out with --ciliumwg-node-selector")
        if name not in agents:
            raise ProviderError(f"node {name} has no Cilium agent pod in namespace {cilium.namespace}")
        if trouble := agents[name].trouble:
            raise ProviderError(
                f"the Cilium agent on node {name} does not run: {trouble}; "
                f"see `kubectl -n {cilium.namespace} logs {agents[name].pod.name}`"
            )


def node_facts_of(kube: Kube) -> dict[str, NodeFacts]:
    """What Kubernetes knows of the nodes, by name."""
    try:
        return {facts.name: facts for facts in map(node_facts, kube.list("nodes"))}
    except ObservationError as error:
        raise ProviderError(f"the cluster's nodes cannot be understood: {error}") from None
