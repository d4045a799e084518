"""One more pod on a node, made and deleted like those of users."""

from __future__ import annotations

import secrets
import time

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.existing.crew import pod_of
from pytest_ciliumwg.providers.existing.hopes import obstacle_of
from pytest_ciliumwg.providers.existing.levers.grip import Grip
from pytest_ciliumwg.providers.existing.manifests import Manifests


def new_name() -> str:
    """A name that no other pod has."""
    return f"extra-pod-{secrets.token_hex(3)}"


def create(grip: Grip, name: str, node: str) -> Pod:
    """Make the pod, and wait until its agent answers.

    Raises:
        ProviderError: the cluster refuses it, or it does not get ready.
    """
    namespace = grip.presence.run.namespace
    grip.kube.create("pods", Manifests(grip.presence.run, grip.spec).extra_pod(name, node), namespace=namespace)
    deadline = time.monotonic() + grip.spec.timeout

    def missing() -> str:
        raw = grip.kube.get("pods", name, namespace=namespace)
        if raw is None:
            raise ProviderError(f"the pod {namespace}/{name} on node {node} was deleted by somebody else")
        obstacle = obstacle_of(raw)
        if obstacle is not None and obstacle.hopeless:
            raise ProviderError(f"the pod {namespace}/{name} cannot run: {obstacle}; {obstacle.advice}")
        return "" if obstacle is None else str(obstacle)

    grip.wait(missing, f"the pod {namespace}/{name} was not ready")
    raw = grip.kube.get("pods", name, namespace=namespace)
    if raw is None:
        raise ProviderError(f"the pod {namespace}/{name} on node {node} was deleted by somebody else")
    pod = pod_of(raw, node)
    grip.crew.hello([grip.crew.pod_agent(pod)], deadline)
    return pod


def delete(grip: Grip, name: str) -> None:
    """Delete the pod with grace period 0, if it is there, and wait until it is gone.

    Raises:
        ProviderError: the cluster refuses, or it does not go.
    """
    namespace = grip.presence.run.namespace
    grip.kube.delete("pods", name, namespace=namespace, grace=0)

    def missing() -> str:
        there = grip.kube.get("pods", name, namespace=namespace) is not None
        return "the API still shows it" if there else ""

    grip.wait(missing, f"the pod {namespace}/{name} was not gone")
