"""The one protocol that every provider's cluster speaks; suites and watches know nothing else of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pytest_ciliumwg.model.cluster import CiliumConfig, IPAddress, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState

SERVICE_PORT = 21000
"""The port of the test pods' Services, and of the pods behind them; below those of the other flows."""

Progress = Callable[[str], None]
"""Called with one line for each step that a user waits for."""


class AgentPort(Protocol):
    """A way to one running agent: on a node (host network) or in a test pod."""

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


class Cluster(Protocol):
    """A cluster that stands and can be observed."""

    @property
    def provider(self) -> str:
        """The provider's name: kind, existing or lab."""
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
    def settle_seconds(self) -> float:
        """How long observations may take to become what is expected before they count."""
        ...

    def actual_config(self) -> CiliumConfig:
        """The configuration that the cluster really has."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that run Cilium, as they are published now."""
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

    def state(self, node: str) -> NodeState:
        """Observe one node from the inside."""
        ...

    def node_agent(self, node: str) -> AgentPort:
        """The agent in a node's network namespace; it watches."""
        ...

    def pod_agent(self, pod: Pod) -> AgentPort:
        """The agent in a test pod; it sends and serves."""
        ...

    def keep(self) -> str:
        """Let the cluster outlive this run; returns one sentence on how to enter and how to remove it."""
        ...

    def close(self) -> None:
        """Take down what this run made, unless it is kept. Safe to call twice."""
        ...
