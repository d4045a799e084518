"""An existing cluster, as suites and watches see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import CiliumConfig, IPAddress, Member, Node, Pod
from pytest_ciliumwg.model.drops import Drops
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.timeline import Snapshot
from pytest_ciliumwg.providers.base import AgentTransport, Progress
from pytest_ciliumwg.providers.existing.agent_pods import ages, images
from pytest_ciliumwg.providers.existing.agents_told import EXEC_SECONDS
from pytest_ciliumwg.providers.existing.cilium import (
    Cilium,
    check_health,
    find_cilium,
    node_facts_of,
)
from pytest_ciliumwg.providers.existing.guard import Guard
from pytest_ciliumwg.providers.existing.installation import Installation
from pytest_ciliumwg.providers.existing.leftovers import leftovers_of
from pytest_ciliumwg.providers.existing.members import members_of
from pytest_ciliumwg.providers.existing.node_observer import debuginfo_section, observation_script, state_from, unseen
from pytest_ciliumwg.providers.existing.operations import ContainerContext, ExistingOperations, upgrader_of
from pytest_ciliumwg.providers.existing.own_look import own_look
from pytest_ciliumwg.providers.existing.pod_commands import run_in_pod
from pytest_ciliumwg.providers.existing.policies import drops, policies
from pytest_ciliumwg.providers.existing.snapshot import SnapshotReader
from pytest_ciliumwg.providers.existing.spec import ExistingSpec
from pytest_ciliumwg.providers.existing.targets import find_targets
from pytest_ciliumwg.providers.existing.test_agents import TestAgents
from pytest_ciliumwg.providers.existing.unmanaged import unmanaged_pods
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube, open_kube
from pytest_ciliumwg.providers.kubernetes.remote import NoProgramError, run_in
from pytest_ciliumwg.providers.settling import read_settled
from pytest_ciliumwg.providers.targets import Targets

SETTLE_SECONDS = 10.0
SLICES_SETTLE_SECONDS = 30.0
"""With CiliumEndpointSlices, which the operator writes at its leisure, nodes learn of new pods later."""


class ExistingCluster:
    """A cluster that this run did not make, with our agents in it until it is closed."""

    provider = "existing"
    settle_seconds = SETTLE_SECONDS
    crowding = 1.0

    def __init__(self, kube: Kube, spec: ExistingSpec, progress: Progress) -> None:
        self._kube = kube
        self._spec = spec
        self._declared = spec.declared
        self._cilium: Cilium = find_cilium(kube, spec.cilium)
        if self._cilium.endpoints.sliced:
            self.settle_seconds = SLICES_SETTLE_SECONDS
        self._known: dict[str, Node] = {}
        self._selected = self._select()
        self._config = self._cilium.config()
        progress(
            f"existing: Cilium {self._config.version} in namespace {self._cilium.namespace} at {kube.api_server.host}"
        )
        self._warn_of_leftovers(progress)
        # Pods that come heal some faults: an agent puts a lost peer back when it next works on a node.
        self._untouched = None if spec.look == "own-agent" else self._read_untouched(progress)
        self._agents_found = self._cilium.agents()
        self._installation = Installation(kube, spec, self._selected, progress)
        self._test_agents = TestAgents(kube, spec, self._cilium, self._installation)
        self._snapshots = SnapshotReader(kube, self._cilium)
        self.context = ContainerContext(
            kube,
            self._cilium,
            spec,
            self._installation,
            self._test_agents,
            progress,
            lambda: self._config,
            self._follow,
        )
        """What operations work with."""
        self._operations = ExistingOperations(self.context, upgrader_of(self.context))
        self._guard = Guard(self.close)
        try:
            self._installation.create()
            self._test_agents.greet()
        except BaseException as error:
            self._abandon(error)
            raise

    def _read_untouched(self, progress: Progress) -> Reading:
        return read_settled(self, self._selected, progress, self._spec.retry_policy.settle)

    @property
    def description(self) -> Sequence[str]:
        """What cluster this is, and which expected settings were not declared but taken from it."""
        assumed = ", ".join(f"{name} {_shown(getattr(self._config, name))}" for name in self._declared.assumed())
        namespace = self._installation.run.namespace
        lines = [
            f"an existing cluster: {self._kube.api_server.source} at {self._kube.api_server.host}",
            f"{len(self._selected)} nodes under test, all of this run in the namespace {namespace}",
        ]
        agents = [self._agents_found[name].pod for name in self._selected if name in self._agents_found]
        lines += [*images(agents), *ages(agents)]
        return [*lines, f"not declared, taken as found: {assumed}"] if assumed else lines

    @property
    def untouched(self) -> Reading | None:
        """The cluster before anything of ours was in it; None where our own agents look."""
        return self._untouched

    @property
    def declared(self) -> CiliumConfig:
        """The configuration that the run expects to find: encryption is on, even if the cluster says otherwise."""
        return self._declared.over(self._config)

    @property
    def selected(self) -> tuple[str, ...]:
        """The names of the nodes under test: those that have agents."""
        return self._selected

    def actual_config(self) -> CiliumConfig:
        """The configuration that the cluster really has."""
        return self._cilium.config()

    def node_configs(self) -> Mapping[str, CiliumConfig]:
        """Node → the configuration that its Cilium agent runs with, of all nodes with an agent that is well."""
        return self._cilium.configs()

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that run Cilium, as they are published now."""
        found = self._cilium.nodes()
        self._known = {node.name: node for node in found}
        return found

    def members(self) -> tuple[Member, ...]:
        """All nodes of the cluster as Kubernetes has them now, and why those that have no agents of ours have none."""
        published = [node.name for node in self.nodes()]
        return members_of(self._kube, published, self._selected, self._spec, self._unmanaged)

    @cached_property
    def _unmanaged(self) -> tuple[Pod, ...] | None:
        """Once: what came into being before Cilium stays so, and to list all pods takes its time."""
        return unmanaged_pods(self._kube, self._cilium, self._selected, self.settle_seconds)

    def pods(self) -> tuple[Pod, ...]:
        """Every pod that has addresses of its own, test pods included."""
        return self._cilium.pods(self.nodes())

    def test_pods(self) -> tuple[Pod, ...]:
        """One pod with an agent for each node under test, in node order; without nodes that an operation has removed.

        Raises:
            ProviderError: one is missing or not ready, for instance because its node is gone.
        """
        return self._test_agents.test_pods()

    def services(self) -> Mapping[str, tuple[IPAddress, ...]]:
        """Test pod's key → the ClusterIPs of its Service; empty where the cluster is too old for our Services."""
        return {pod: service.addresses for pod, service in self._test_agents.services.items()}

    def targets(self) -> Targets:
        """What there is for the profile extended, as far as it can be found."""
        run, services, nodes = self._installation.run, self._test_agents.services, self._test_agents.nodes
        return find_targets(self._kube, run, services, self.pods(), self._config, nodes)

    def snapshot(self) -> Snapshot:
        """What the cluster shows now of all that may change: a few requests, none of them repeated.

        Raises:
            ProviderError: the API server does not answer now.
        """
        return self._snapshots.read()

    @property
    def operations(self) -> ExistingOperations:
        """What can be changed in this cluster."""
        return self._operations

    def state(self, node: str) -> NodeState:
        """Observe one node from the inside; where that fails, every field of the state says why."""
        families = self._config.families
        try:
            published = self._published(node)
            others = [peer for name, peer in self._known.items() if name != node]
            place = self._cilium.agent(node)
            if self._spec.look == "own-agent":
                told = own_look(self.node_agent(node), families, debuginfo_section(self._kube, place))
                return state_from(told, published, others, families)
            script = observation_script(families, in_mesh=bool(self._config.cluster_id))
            done = run_in(self._kube, place, ["sh", "-c", script], timeout=EXEC_SECONDS)
        except NoProgramError as error:
            needed = "which looking at the node from there needs (not with --ciliumwg-look=own-agent)"
            return unseen(node, f"{error}, {needed}")
        except ProviderError as error:
            return unseen(node, str(error))
        if done.status != 0:
            return unseen(node, f"the script that looks at node {node} failed: {done.complaint}")
        return state_from(done.output, published, others, families)

    def _published(self, node: str) -> Node:
        """A node as it was published last: cached, so that observing 200 nodes does not list them 200 times."""
        if node not in self._known:
            self.nodes()
        if node not in self._known:
            raise ProviderError(f"there is no CiliumNode {node}")
        return self._known[node]

    def drops(self, node: str) -> Drops | None:
        """What a node has dropped since it started; None where its agent does not tell."""
        return drops(self._kube, self._cilium, node)

    def policies(self) -> Sequence[str]:
        """The network policies that may concern test pods, as far as they can be read."""
        return policies(self._kube, self._installation.run.namespace)

    def node_agent(self, node: str) -> AgentTransport:
        """The agent in a node's network namespace."""
        return self._test_agents.node_agent(node)

    def pod_agent(self, pod: Pod) -> AgentTransport:
        """The agent in a test pod, or in one that an operation has made."""
        return self._test_agents.pod_agent(pod)

    def run_in_pod(self, pod: Pod, command: Sequence[str], *, timeout: float) -> str:
        """Run a command in any pod: see `PodCommands`."""
        return run_in_pod(self._kube, pod, command, timeout)

    def keep(self) -> str:
        """Leave our namespace in the cluster, and say how to enter and how to remove it."""
        namespace = self._installation.run.namespace
        self._installation.keep()
        return (
            f"the namespace {namespace} is kept; its agents are `kubectl -n {namespace} get pods`, "
            f"remove it with `kubectl delete namespace {namespace}` or --ciliumwg-cleanup"
        )

    def close(self) -> None:
        """Undo what operations changed, remove what is ours, unless it is kept, and wait for both; safe to call twice.

        Raises:
            ProviderError: something cannot be undone or removed.
        """
        failed = []
        for end in (self._operations.restore, self._installation.delete):
            try:
                end()
            except ProviderError as error:
                failed.append(str(error))
        if failed:
            raise ProviderError("; ".join(failed))
        self._guard.release()
        self._kube.close()

    def _follow(self, version: str | None) -> None:
        """Expect what goes with Cilium as it is now, after an upgrade to `version` or what others did (None)."""
        before, self._config = self._config.version, self._cilium.config()
        if version is not None and self._declared.version is not None:
            self._declared = replace(self._declared, version=version)
        if version is None and self._config.version != before:
            self.context.progress(f"existing: somebody brought Cilium from {before} to {self._config.version}")

    def _select(self) -> tuple[str, ...]:
        facts = node_facts_of(self._kube)
        names = [node.name for node in self.nodes()]
        if self._spec.node_selector:
            labelled = self._kube.list("nodes", labels=self._spec.node_selector)
            wanted = {item["metadata"]["name"] for item in labelled}
            names = [name for name in names if name in wanted]
        names = names[: self._spec.max_nodes]
        if len(names) < 2:
            chosen = (
                f"with the labels {dict(self._spec.node_selector)}" if self._spec.node_selector else "in the cluster"
            )
            raise ProviderError(f"there are {len(names)} nodes with Cilium {chosen}: traffic between nodes needs 2")
        check_health(self._cilium, facts, tuple(names))
        return tuple(names)

    def _warn_of_leftovers(self, progress: Progress) -> None:
        try:
            found = leftovers_of(self._kube)
        except KubeError as error:
            progress(f"existing: whether earlier runs left something is not known: {error}")
            return  # which is no reason to end, and whether more is wrong shows soon enough
        for leftover in found:
            progress(f"existing: an earlier run left {leftover}; if it does not run any more, use --ciliumwg-cleanup")

    def _abandon(self, error: BaseException) -> None:
        """Clean up after a failed start, and add what could not be removed to the error's text."""
        try:
            self.close()
        except ProviderError as left:
            if isinstance(error, ProviderError):
                raise ProviderError(f"{error}; and {left}") from None


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return "+".join(sorted(member.value for member in value))
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def connect_existing(spec: ExistingSpec, progress: Progress) -> ExistingCluster:
    """Put agents into an existing cluster, and change nothing else of it.

    Raises:
        ProviderError: the cluster cannot be reached, is broken, or refuses the agents.
    """
    spec.check()
    kube = open_kube(spec.kubeconfig, spec.context, spec.retry_policy)
    try:
        return ExistingCluster(kube, spec, progress)
    except BaseException:
        kube.close()
        raise
