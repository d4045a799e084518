"""Our agents on the nodes under test: which pods they run in now, their transports, and their Services."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_ciliumwg.errors import AgentError, ObservationError, ProviderError
from pytest_ciliumwg.model.cluster import IPAddress, Pod
from pytest_ciliumwg.observe.kubernetes import pod_facts
from pytest_ciliumwg.providers.base import AgentTransport
from pytest_ciliumwg.providers.existing.agents_told import CONCURRENCY
from pytest_ciliumwg.providers.existing.cilium import Cilium
from pytest_ciliumwg.providers.existing.installation import Installation
from pytest_ciliumwg.providers.existing.manifests import Role
from pytest_ciliumwg.providers.existing.readiness import not_ready_of
from pytest_ciliumwg.providers.existing.services import MadeService, make_services, remove_services
from pytest_ciliumwg.providers.existing.spec import ExistingSpec
from pytest_ciliumwg.providers.existing.transport import ExecTransport, NoAgent, NotListeningError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.waiting import for_each, wait_for

_HELLO = b'{"op":"hello"}\n'


class TestAgents:
    """The pods of one run, as they come and go."""

    def __init__(self, kube: Kube, spec: ExistingSpec, cilium: Cilium, installation: Installation) -> None:
        self._kube = kube
        self._spec = spec
        self._cilium = cilium
        self._installation = installation
        self._away: frozenset[str] = frozenset()
        self._pods: Mapping[Role, Mapping[str, Mapping[str, Any]]] = {}
        self.services: Mapping[str, MadeService] = {}
        """Test pod's key → its Service; empty where the cluster is too old for our Services."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes under test that are there: without those that were taken out of the cluster."""
        return tuple(node for node in self._installation.nodes if node not in self._away)

    def leave_out(self, node: str) -> None:
        """Expect no agents any more on a node that was taken out of the cluster."""
        self._away |= {node}

    def take_back(self, node: str) -> None:
        """Expect agents on a node again that is back in the cluster."""
        self._away -= {node}

    def test_pods(self) -> tuple[Pod, ...]:
        """One pod with an agent for each node, in node order.

        Raises:
            ProviderError: one is missing or not ready, for instance because its node is gone.
        """
        self._pods = self._installation.pods()
        return tuple(self._test_pod(node) for node in self.nodes)

    def _test_pod(self, node: str) -> Pod:
        raw = self._pods["test-pod"].get(node)
        if raw is None:
            raise ProviderError(f"the test pod on node {node} is gone, and there is no new one yet")
        if (obstacle := not_ready_of(raw)) is not None:
            raise ProviderError(f"the test pod on node {node} is not ready: {obstacle.why}")
        return pod_of(raw, node)

    def node_agent(self, node: str) -> AgentTransport:
        """The agent in a node's network namespace."""
        if not self._pods:
            self._pods = self._installation.pods()
        raw = self._pods["node-agent"].get(node)
        if raw is None:
            return NoAgent(node, "it is not among the nodes under test, or its pod is gone")
        return self._transport(node, raw["metadata"]["name"])

    def pod_agent(self, pod: Pod) -> AgentTransport:
        """The agent in a test pod, or in one more pod of ours."""
        if pod.namespace != self._installation.run.namespace:
            return NoAgent(pod.name, "it is not among the nodes under test, or its pod is gone")
        return self._transport(pod.name, pod.name)

    def _transport(self, name: str, pod: str) -> AgentTransport:
        return ExecTransport(self._kube, name, self._installation.run.namespace, pod, on_gone=self.forget)

    def forget(self) -> None:
        """Drop the cached pods, so that the next call looks them up again."""
        self._pods = {}

    def greet(self) -> None:
        """Make sure that every agent answers, and that the test pods have addresses that Cilium gave them.

        Raises:
            ProviderError: an agent does not answer in time, or another CNI is at work.
        """
        pods = self.test_pods()
        deadline = time.monotonic() + self._spec.timeout
        self.hello([*map(self.node_agent, self.nodes), *map(self.pod_agent, pods)], deadline)
        self._await_endpoints(pods, deadline)
        # Made here, long before they are used: kube-proxy takes a moment to learn of them.
        self.services = make_services(self._kube, self._installation.run, pods, extended=self._spec.extended)

    def hello(self, transports: Sequence[AgentTransport], deadline: float) -> None:
        """Wait until these agents answer.

        Raises:
            ProviderError: one does not.
        """
        poll = self._spec.retry_policy.poll
        for_each(lambda transport: _hello(transport, deadline, poll), transports, at_once=CONCURRENCY)

    def settle(self) -> None:
        """Wait until every agent and test pod is there again, and give the test pods Services anew.

        Raises:
            ProviderError: they do not come.
        """
        self._installation.await_ready(self.nodes)
        remove_services(self._kube, self._installation.run)
        self.greet()

    def renew(self) -> None:
        """Make the test pods anew.

        Raises:
            ProviderError: the new ones do not come.
        """
        present = self._installation.pods()["test-pod"]
        for node in self.nodes:
            if node in present:
                metadata = present[node]["metadata"]
                self._kube.delete("pods", metadata["name"], namespace=metadata["namespace"], uid=metadata.get("uid"))
        self.settle()

    def _await_endpoints(self, pods: Sequence[Pod], deadline: float) -> None:
        known: set[IPAddress] = set()

        def foreign() -> str:
            nonlocal known
            known = {ip for pod in self._cilium.pods(self._cilium.nodes()) for ip in pod.addresses}
            return next((f"{pod.key} on node {pod.node}" for pod in pods if not known & set(pod.addresses)), "")

        if pod := wait_for(foreign, seconds=deadline - time.monotonic(), poll=self._spec.retry_policy.poll):
            if not known:
                raise ProviderError(
                    "there are no CiliumEndpoint objects at all, so nothing tells which pods are Cilium's: its agents "
                    "make none; see their logs, and `kubectl get crd ciliumendpoints.cilium.io`"
                )
            raise ProviderError(
                f"no CiliumEndpoint has the address of test pod {pod}: "
                "another CNI gives addresses there, so its traffic is not Cilium's to encrypt"
            )


def pod_of(raw: Mapping[str, Any], node: str) -> Pod:
    """A pod of ours that runs.

    Raises:
        ProviderError: the object is not understood.
    """
    try:
        facts = pod_facts(raw)
    except ObservationError as error:
        raise ProviderError(f"the test pod on node {node} cannot be understood: {error}") from None
    return Pod(name=facts.name, namespace=facts.namespace, node=node, addresses=facts.addresses)


def _hello(transport: AgentTransport, deadline: float, pause: float) -> None:
    """A container that has just started may need a moment before its agent listens."""

    def missing() -> str:
        try:
            transport.exchange(_HELLO, timeout=max(deadline - time.monotonic(), 1.0))
        except NotListeningError as error:
            return str(error)
        except AgentError as error:
            raise ProviderError(str(error)) from None
        return ""

    if why := wait_for(missing, seconds=deadline - time.monotonic(), poll=pause):
        raise ProviderError(why)
