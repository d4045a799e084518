"""The protocols that every provider's cluster implements; suites and watches use a cluster through them alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_ciliumwg.model.cluster import CiliumConfig, IPAddress, Member, Node, Pod
from pytest_ciliumwg.model.drops import Drops
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.timeline import Snapshot
from pytest_ciliumwg.providers.recorded import Recorded
from pytest_ciliumwg.waiting import for_each

if TYPE_CHECKING:
    from pytest_ciliumwg.providers.targets import Targets

SERVICE_PORT = 21000
"""The port of the test pods' Services, and of the pods behind them; below those of the other flows."""

_MANY = 100
"""Nodes whose peers are too many to be looked through for garbage again and again."""

Progress = Callable[[str], None]
"""Called with one line for each step that a user waits for."""


class AgentTransport(Protocol):
    """A connection to one running agent: on a node (host network) or in a test pod."""

    @property
    def name(self) -> str:
        """Where the agent runs, for messages: the node's or the pod's name."""
        ...

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        """Hand the agent one JSON request and return its JSON reply.

        Safe to repeat with the same request: the agent treats a repeated job id as the same job.

        Raises:
            AgentError: the agent cannot be reached or did not answer within `timeout` seconds.
        """
        ...


class Operations(Protocol):
    """What can be changed in a cluster, for a while; every method blocks until the change is done.

    Each method may be called again after it failed or was interrupted. `restore` undoes what is not undone yet,
    whichever step was interrupted. Clusters whose machines can be reached have `NodeOperations` too.

    Raises:
        ProviderError: every method, when what is asked for cannot be done here or does not get done in time.
    """

    def unavailable(self, operation: str) -> str:
        """Why a method of this protocol or of `NodeOperations` cannot be used with this cluster; empty when it can."""
        ...

    def restart_agents(self, nodes: Sequence[str]) -> None:
        """End the Cilium agents of these nodes at once, and wait until their successors are ready."""
        ...

    def create_pod(self, node: str) -> Pod:
        """Make one more pod on a node, with an agent (see `Cluster.pod_agent`) that answers."""
        ...

    def delete_pod(self, pod: Pod) -> None:
        """Delete a pod of `create_pod` with grace period 0, also while it sends."""
        ...

    def device_down(self, node: str) -> None:
        """Set cilium_wg0 down."""
        ...

    def device_up(self, node: str) -> None:
        """Set it up again, and have what depends on it (routes) restored as Cilium does at its start."""
        ...

    def delete_ipcache(self, node: str) -> None:
        """Delete the IPv4 entries of the other nodes' test pods from a node's ipcache: it encrypts nothing for them."""
        ...

    def restore_ipcache(self, node: str) -> None:
        """Put the entries back."""
        ...

    def block_port(self, node: str) -> None:
        """Drop WireGuard's UDP port in and out of a node."""
        ...

    def unblock_port(self, node: str) -> None:
        """Stop dropping it."""
        ...

    def replace_key(self, node: str) -> None:
        """Take a node's private key away and restart its agent, which makes a new one."""
        ...

    def check_upgrade(self, versions: Sequence[str]) -> None:
        """Refuse upgrades through these versions, the present one first, before anything is changed."""
        ...

    def upgrade(self, version: str) -> None:
        """Bring Cilium to a version (up or down), and wait until every agent runs it and is ready."""
        ...

    def catch_up(self) -> None:
        """Read Cilium's version and configuration anew, after others may have changed them; what was declared stays."""
        ...

    def renew_pods(self) -> None:
        """Make the test pods anew, so that they have what the present version gives to new pods, such as MTUs."""
        ...

    def restore(self) -> None:
        """Undo everything that is not undone; safe to call twice, and at any moment."""
        ...


@runtime_checkable
class NodeOperations(Protocol):
    """What can be changed where a cluster's machines can be reached; such `Operations` have these methods too.

    Raises:
        ProviderError: every method, as those of `Operations`.
    """

    def drain_node(self, node: str) -> None:
        """Cordon a node and evict its pods (not those of DaemonSets); `restore` or `add_node` uncordons it."""
        ...

    def remove_node(self, node: str) -> None:
        """Stop a node and take it out of the cluster."""
        ...

    def add_node(self, node: str) -> None:
        """Let a removed or drained node be part of the cluster again, with a ready agent and test pod."""
        ...

    def restart_node(self, node: str) -> None:
        """Restart a node, and wait until its agent and test pod are ready."""
        ...


@runtime_checkable
class PodCommands(Protocol):
    """What clusters have too in whose pods commands can be run."""

    def run_in_pod(self, pod: Pod, command: Sequence[str], *, timeout: float) -> str:
        """Run a command in a pod, any pod of the cluster, and return its standard output.

        Raises:
            ProviderError: it cannot be run, or failed; the sentence has what it complained of.
        """
        ...


class Cluster(Protocol):
    """A cluster that stands and can be observed."""

    @property
    def provider(self) -> str:
        """The provider's name: kind, existing, lab or offline."""
        ...

    @property
    def description(self) -> Sequence[str]:
        """Lines for the report header, such as what the cluster is (and is not)."""
        ...

    @property
    def declared(self) -> CiliumConfig:
        """The configuration that the run expects to find."""
        ...

    @property
    def untouched(self) -> Reading | None:
        """The cluster before anything of ours was in it; None where there was no such time."""
        ...

    @property
    def settle_seconds(self) -> float:
        """How long observations may take to become what is expected before they count."""
        ...

    @property
    def crowding(self) -> float:
        """How many nodes share one processor with all that they do; 1 where each has a machine of its own."""
        ...

    def actual_config(self) -> CiliumConfig:
        """The configuration that the cluster really has; where its nodes differ, what most of them have."""
        ...

    def node_configs(self) -> Mapping[str, CiliumConfig]:
        """Node → the configuration that its Cilium runs with, where that can be read."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that run Cilium, as they are published now."""
        ...

    def drops(self, node: str) -> Drops | None:
        """What the datapath of a node has dropped since it started; None where nothing tells that."""
        ...

    def policies(self) -> Sequence[str]:
        """The network policies that may concern test pods, in words."""
        ...

    def members(self) -> tuple[Member, ...]:
        """All nodes of the cluster as Kubernetes has them now, by name: those under test, and why the others are not.

        Raises:
            ProviderError: the cluster does not answer.
        """
        ...

    def pods(self) -> tuple[Pod, ...]:
        """Every pod (not host-network) of those nodes, test pods included."""
        ...

    def test_pods(self) -> tuple[Pod, ...]:
        """One pod for each node under test, in node order, that runs an agent and sends and serves test traffic.

        The nodes under test may be fewer than `nodes`: then only these are observed and watched.
        """
        ...

    def services(self) -> Mapping[str, tuple[IPAddress, ...]]:
        """Test pod's key → the ClusterIPs of a Service that leads to it alone, ports SERVICE_PORT for TCP and UDP.

        Empty where the cluster has no Services.
        """
        ...

    def targets(self) -> Targets:
        """What there is for the flows of the profile extended; asked for with that profile only."""
        ...

    def state(self, node: str) -> NodeState:
        """Observe one node from the inside."""
        ...

    def node_agent(self, node: str) -> AgentTransport:
        """The agent in a node's network namespace; it watches."""
        ...

    def pod_agent(self, pod: Pod) -> AgentTransport:
        """The agent in a test pod; it sends and serves."""
        ...

    def snapshot(self) -> Snapshot:
        """What the cluster shows now of all that may change; cheap enough to ask for every second.

        Raises:
            ProviderError: the cluster does not answer now.
        """
        ...

    @property
    def operations(self) -> Operations:
        """What can be changed in this cluster."""
        ...

    def keep(self) -> str:
        """Let the cluster outlive this run; returns one sentence on how to enter and how to remove it."""
        ...

    def close(self) -> None:
        """Take down what this run made, unless it is kept. Safe to call twice."""
        ...


def nodes_under_test(cluster: Cluster) -> list[str]:
    """The names of the nodes that have a test pod, in node order; of a record all that it has.

    Raises:
        ProviderError: a test pod is missing or not ready.
    """
    if isinstance(cluster, Recorded):
        return list(cluster.tested())
    return [pod.node for pod in cluster.test_pods()]


def states_of(cluster: Cluster, nodes: Iterable[str]) -> dict[str, NodeState]:
    """Nodes from the inside, many at once.

    Raises:
        ProviderError: one of them cannot be observed at all.
    """
    names = list(nodes)
    with spared(len(names)):
        return dict(zip(names, for_each(cluster.state, names), strict=True))


def read(cluster: Cluster, nodes: Iterable[str]) -> Reading:
    """What the API shows, and these nodes from the inside.

    Raises:
        ProviderError: one of them cannot be observed at all.
    """
    published, pods = cluster.nodes(), frozenset(cluster.pods())
    states = states_of(cluster, nodes)
    return Reading(nodes=published, states=states, pods_before=pods, pods_after=frozenset(cluster.pods()))


@contextmanager
def spared(nodes: int) -> Iterator[None]:
    """Read of so many nodes without the search for garbage, which takes a third of the time where they are many.

    It would look through all of their peers again and again. They stay to the end, so it is kept from them afterwards.
    """
    if nodes < _MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
