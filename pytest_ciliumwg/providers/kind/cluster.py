"""Make a kind cluster or use a kept one, hand it to the provider `existing`, remove or keep it at the end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import CiliumConfig, IPAddress, Member, Node, Pod
from pytest_ciliumwg.model.drops import Drops
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.timeline import Snapshot
from pytest_ciliumwg.providers.base import AgentTransport, Cluster, Progress
from pytest_ciliumwg.providers.existing import ExistingCluster, ExistingSpec, connect_existing
from pytest_ciliumwg.providers.existing.guard import Guard
from pytest_ciliumwg.providers.existing.operations import upgrader_of
from pytest_ciliumwg.providers.kind.cluster_state import Kubectl, await_cilium
from pytest_ciliumwg.providers.kind.collect_logs import collect_logs
from pytest_ciliumwg.providers.kind.create import ClusterCreator, clusters, delete, taken
from pytest_ciliumwg.providers.kind.leftovers import answers, forget_removed, remove_kind_leftovers
from pytest_ciliumwg.providers.kind.name_lock import NameLock, take
from pytest_ciliumwg.providers.kind.nodes import Nodes
from pytest_ciliumwg.providers.kind.operations import KindOperations
from pytest_ciliumwg.providers.kind.spec import KindSpec
from pytest_ciliumwg.providers.kind.steps import Steps
from pytest_ciliumwg.providers.kind.tools import Tools, check_images, find_tools
from pytest_ciliumwg.providers.kind.upgrader import KindUpgrader
from pytest_ciliumwg.providers.programs import scratch_folder
from pytest_ciliumwg.providers.targets import Targets


class KindProvider:
    """A kind cluster with agents in it; the provider `existing` does all but its life and its nodes."""

    provider = "kind"

    def __init__(self, creator: ClusterCreator, existing: ExistingCluster, guard: Guard, took: str) -> None:
        self._creator = creator
        self._took = took
        self._name_lock = creator.name_lock
        self._existing = existing
        self._inner: Cluster = existing
        self._upgrader: KindUpgrader | None = None
        self._operations: KindOperations | None = None
        self._kept = False
        self._closed = False
        self._guard = guard

    @property
    def untouched(self) -> Reading | None:
        """The cluster when it was ready, before agents were put into it."""
        return self._inner.untouched

    @property
    def settle_seconds(self) -> float:
        """As in any real cluster."""
        return self._inner.settle_seconds

    @property
    def crowding(self) -> float:
        """All nodes are containers on this machine."""
        return len(self.nodes()) / (os.cpu_count() or 1)

    @property
    def description(self) -> Sequence[str]:
        """What was made, and what was found in it."""
        spec = self._spec
        made = f"a kind cluster {spec.name}: {spec.nodes} nodes of {spec.image.partition('@')[0]}"
        return [f"{made}, {spec.routing_mode}, kube-proxy {spec.kube_proxy}", self._took, *self._inner.description]

    @property
    def declared(self) -> CiliumConfig:
        """The configuration that was asked for, not what Helm made of it."""
        return self._inner.declared

    def actual_config(self) -> CiliumConfig:
        """The configuration that the cluster really has."""
        return self._inner.actual_config()

    def node_configs(self) -> Mapping[str, CiliumConfig]:
        """Node → the configuration that its Cilium agent runs with."""
        return self._inner.node_configs()

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that run Cilium, as they are published now."""
        return self._inner.nodes()

    def members(self) -> tuple[Member, ...]:
        """All nodes of the cluster as Kubernetes has them now."""
        return self._inner.members()

    def pods(self) -> tuple[Pod, ...]:
        """Every pod that has addresses of its own, test pods included."""
        return self._inner.pods()

    def test_pods(self) -> tuple[Pod, ...]:
        """One pod with an agent for each node, in node order."""
        return self._inner.test_pods()

    def drops(self, node: str) -> Drops | None:
        """What a node has dropped since it started; None where its agent does not tell."""
        return self._inner.drops(node)

    def policies(self) -> Sequence[str]:
        """The network policies that may concern test pods."""
        return self._inner.policies()

    def services(self) -> Mapping[str, tuple[IPAddress, ...]]:
        """Test pod's key → the ClusterIPs of a Service that leads to it alone."""
        return self._inner.services()

    def targets(self) -> Targets:
        """What there is for the flows of the profile extended."""
        return self._inner.targets()

    def state(self, node: str) -> NodeState:
        """Observe one node from the inside."""
        return self._inner.state(node)

    def node_agent(self, node: str) -> AgentTransport:
        """The agent in a node's network namespace."""
        return self._inner.node_agent(node)

    def pod_agent(self, pod: Pod) -> AgentTransport:
        """The agent in a test pod."""
        return self._inner.pod_agent(pod)

    def run_in_pod(self, pod: Pod, command: Sequence[str], *, timeout: float) -> str:
        """Run a command in any pod."""
        return self._existing.run_in_pod(pod, command, timeout=timeout)

    def snapshot(self) -> Snapshot:
        """What the cluster shows now of all that may change."""
        return self._inner.snapshot()

    @property
    def operations(self) -> KindOperations:
        """What can be changed in this cluster."""
        if self._operations is None:
            context, creator = self._existing.context, self._creator
            self._upgrader = KindUpgrader(context, creator, creator.spec)
            names = frozenset(node.name for node in self.nodes())
            nodes = Nodes(context, creator.tools.docker, names)
            asked = context.spec.upgrade_command or context.spec.observe_seconds
            self._operations = KindOperations(context, upgrader_of(context) if asked else self._upgrader, nodes)
        return self._operations

    @property
    def _spec(self) -> KindSpec:
        """What the cluster is now."""
        return self._creator.spec if self._upgrader is None else self._upgrader.spec

    def keep(self) -> str:
        """Let the cluster stand, and say how to enter and how to remove it."""
        self._kept = True
        return (
            f"the cluster {self._spec.name} is kept; enter it with `kubectl --kubeconfig {self._name_lock.kubeconfig} "
            f"get nodes`, use it again with the same options, remove it with --ciliumwg-cleanup"
        )

    def close(self) -> None:
        """Remove the cluster, unless it is kept; then only what this run put into it. Safe to call twice.

        Raises:
            ProviderError: it cannot be removed.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._kept:
                if self._operations is not None:
                    self._operations.restore()
                self._inner.close()
                self._name_lock.write("kept.json", self._spec.identity())
            else:
                with contextlib.suppress(ProviderError):  # what remains in the cluster goes with it
                    self._inner.close()
                delete(self._creator.tools.kind, self._name_lock)
        finally:
            self._name_lock.release()
            self._guard.release()


def create_kind(
    spec: KindSpec,
    agents: ExistingSpec,
    progress: Progress,
    *,
    report: Path | None = None,
    cleanup: bool = False,
) -> KindProvider:
    """Make a cluster, or use the kept one of the same name, and put agents into it.

    Args:
        spec: The cluster.
        agents: How to put agents into it; its kubeconfig is set here.
        progress: Told of every step.
        report: A folder for the logs of a cluster that fails.
        cleanup: Whether to remove what earlier runs left first.

    Raises:
        ProviderError: the cluster cannot be had; nothing of it is left then.
    """
    spec.check()
    agents.check()
    tools = find_tools(spec)
    check_images(tools, spec)
    if cleanup:
        remove_kind_leftovers(tools, progress)
    return _Opening(spec, tools, take(spec.name), progress, report).open(agents)


class _Opening:
    """Makes the cluster, or takes the kept one; on an error, Ctrl-C or SIGTERM before it is ready, removes it."""

    def __init__(
        self, spec: KindSpec, tools: Tools, name_lock: NameLock, progress: Progress, report: Path | None
    ) -> None:
        self._spec = spec
        self._tools = tools
        self._name_lock = name_lock
        self._progress = progress
        self._report = report
        self._creator = ClusterCreator(spec, tools, name_lock, progress)
        self._found = False
        """Whether the name is free or the cluster a kept one of ours: whether it may be touched."""
        self._kept = False
        self._took = ""
        """How long it took to make, step by step."""
        self._end: Callable[[], None] = self._undo
        # One guard for the whole life: of two, only the first would see SIGTERM.
        self._guard = Guard(lambda: self._end())

    def open(self, agents: ExistingSpec) -> KindProvider:
        try:
            self._kept = self._find()
            self._found = True
            self._make()
            at = replace(agents, kubeconfig=self._name_lock.kubeconfig)
            existing = connect_existing(at, self._progress)
        except BaseException as error:
            self._abandon(error)
            raise
        provider = KindProvider(self._creator, existing, self._guard, self._took)
        self._end = provider.close
        return provider

    def _find(self) -> bool:
        """Whether there is a kept cluster that will do."""
        name, name_lock = self._spec.name, self._name_lock
        if name not in clusters(self._tools.kind):
            forget_removed(name_lock)
            return False
        if not name_lock.begun:
            raise ProviderError(taken(name))
        if name_lock.kept is None:
            raise ProviderError(f"a run that was killed left the cluster {name}: remove it with --ciliumwg-cleanup")
        if name_lock.kept != self._spec.identity():
            raise ProviderError(
                f"the kept cluster {name} was made with other options: use those, remove it with --ciliumwg-cleanup, "
                "or choose another --ciliumwg-cluster-name"
            )
        if not answers(self._tools.kubectl, name_lock):
            raise ProviderError(
                f"the kept cluster {name} does not answer: start it, or remove it with `kind delete cluster "
                f"--name {name}`"
            )
        return True

    def _make(self) -> None:
        creator, steps = self._creator, Steps()
        with scratch_folder("chart") as folder, creator.fetching_chart(folder) as fetched:
            if self._kept:
                self._progress(f"kind: using the kept cluster {self._spec.name} again")
            else:
                with steps.step("creating the nodes"):
                    creator.create()
            if self._spec.load_images:
                with steps.step("loading images"):
                    creator.load_images()
            with steps.step("installing Cilium"):
                creator.install(fetched())
        with steps.step("waiting for Cilium"):
            await_cilium(Kubectl(self._tools.kubectl, self._name_lock.kubeconfig), self._spec, self._progress)
        self._took = str(steps)
        self._progress(f"kind: {self._took}")

    def _abandon(self, error: BaseException) -> None:
        """Collect the logs that explain the error, remove what was made, and tell in the error what could not be."""
        left = []
        if isinstance(error, ProviderError) and self._found and self._name_lock.begun:
            left.append(self._collect_logs())
        try:
            self._undo()
        except ProviderError as remains:
            left.append(str(remains))
        self._guard.release()
        if left and isinstance(error, ProviderError):
            error.args = ("; ".join((str(error), *left)),)

    def _collect_logs(self) -> str:
        if self._report is None:
            return "give --ciliumwg-report=DIR to keep the cluster's logs of such a failure"
        try:
            return f"its logs are in {collect_logs(self._tools, self._name_lock, self._report)}"
        except OSError as error:
            return f"its logs cannot be written: {error}"

    def _undo(self) -> None:
        """Remove what was made. A kept cluster stays kept, and what is not ours is not touched."""
        try:
            if not self._name_lock.begun:
                self._name_lock.free()
            elif self._found and not self._kept:
                self._progress(f"kind: removing the cluster {self._spec.name}")
                delete(self._tools.kind, self._name_lock)
        finally:
            self._name_lock.release()
