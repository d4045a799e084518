"""One more pod on a node, made and deleted like those of users."""

from __future__ import annotations

import secrets
import time

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.existing.manifests import Manifests
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.existing.readiness import not_ready_of
from pytest_ciliumwg.providers.existing.test_agents import pod_of


def new_name() -> str:
    """A name that no other pod has."""
    return f"extra-pod-{secrets.token_hex(3)}"


def create(context: ContainerContext, name: str, node: str) -> Pod:
    """Make the pod, and wait until its agent answers.

    Raises:
        ProviderError: the cluster refuses it, or it does not get ready.
    """
    namespace = context.installation.run.namespace
    context.kube.create(
        "pods", Manifests(context.installation.run, context.spec).extra_pod(name, node), namespace=namespace
    )
    deadline = time.monotonic() + context.spec.timeout

    def missing() -> str:
        raw = context.kube.get("pods", name, namespace=namespace)
        if raw is None:
            raise ProviderError(f"the pod {namespace}/{name} on node {node} was deleted by somebody else")
        obstacle = not_ready_of(raw)
        if obstacle is not None and obstacle.permanent:
            raise ProviderError(f"the pod {namespace}/{name} cannot run: {obstacle}; {obstacle.advice}")
        return "" if obstacle is None else str(obstacle)

    context.wait(missing, f"the pod {namespace}/{name} was not ready")
    raw = context.kube.get("pods", name, namespace=namespace)
    if raw is None:
        raise ProviderError(f"the pod {namespace}/{name} on node {node} was deleted by somebody else")
    pod = pod_of(raw, node)
    context.test_agents.hello([context.test_agents.pod_agent(pod)], deadline)
    return pod


def delete(context: ContainerContext, name: str) -> None:
    """Delete the pod with grace period 0, if it is there, and wait until it is gone.

    Raises:
        ProviderError: the cluster refuses, or it does not go.
    """
    namespace = context.installation.run.namespace
    context.kube.delete("pods", name, namespace=namespace, grace=0)

    def missing() -> str:
        there = context.kube.get("pods", name, namespace=namespace) is not None
        return "the API still shows it" if there else ""

    context.wait(missing, f"the pod {namespace}/{name} was not gone")
