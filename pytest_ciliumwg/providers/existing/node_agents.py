"""Our agents on the nodes' own networks, for as long as something is captured there; no test pods."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pytest_ciliumwg.providers.base import AgentTransport, Progress
from pytest_ciliumwg.providers.existing.cilium import find_cilium
from pytest_ciliumwg.providers.existing.guard import Guard
from pytest_ciliumwg.providers.existing.installation import Installation
from pytest_ciliumwg.providers.existing.spec import ExistingSpec
from pytest_ciliumwg.providers.existing.test_agents import TestAgents
from pytest_ciliumwg.providers.kubernetes.kube import open_kube


@contextmanager
def node_agents(spec: ExistingSpec, nodes: Sequence[str], progress: Progress) -> Iterator[Mapping[str, AgentTransport]]:
    """Put an agent on each of some nodes, hand out node → agent, and remove all of it at the end of the block.

    Raises:
        ProviderError: the cluster cannot be reached, refuses the agents, or something of ours cannot be removed.
    """
    spec.check()
    kube = open_kube(spec.kubeconfig, spec.context, spec.retry_policy)
    try:
        agents = TestAgents(
            kube,
            spec,
            find_cilium(kube, spec.cilium),
            installation := Installation(kube, spec, nodes, progress, roles=("node-agent",)),
        )
        guard = Guard(installation.delete)
        try:
            installation.create()
            transports = {node: agents.node_agent(node) for node in nodes}
            agents.hello(list(transports.values()), time.monotonic() + spec.timeout)
            yield transports
        finally:
            installation.delete()
        guard.release()
    finally:
        kube.close()
