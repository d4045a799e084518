"""Pods that Cilium does not know: those that were there before it, or whose network another plugin has made."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.observe.kubernetes import PodFacts, pod_facts, unmanaged
from pytest_ciliumwg.providers.existing.cilium import Cilium
from pytest_ciliumwg.providers.kubernetes.errors import FORBIDDEN, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.waiting import wait_for

_POLL = 1.0


def unmanaged_pods(kube: Kube, cilium: Cilium, nodes: Collection[str], settle: float) -> tuple[Pod, ...] | None:
    """Those of some nodes that have no CiliumEndpoint, also after the seconds in which a new pod gets one.

    None where that is not to be told: no endpoints are published, or pods may not be listed.

    Raises:
        ProviderError: the cluster does not answer.
    """
    if not cilium.endpoints.published:
        return None
    try:
        found = _found(kube, cilium, nodes)
        if not wait_for(lambda: _without(cilium, found), seconds=settle, poll=_POLL):
            return ()
        # Only those that were there before: meanwhile others have come that are as new as those once were.
        return tuple(pod for pod in _found(kube, cilium, nodes) if pod in found)
    except KubeError as error:
        if error.status != FORBIDDEN:
            raise
        return None


def _found(kube: Kube, cilium: Cilium, nodes: Collection[str]) -> tuple[Pod, ...]:
    pods = (pod for pod in _facts(kube) if pod.node in nodes)
    return unmanaged(pods, cilium.pods(cilium.nodes()))


def _without(cilium: Cilium, pods: Collection[Pod]) -> str:
    """Which of these pods have no endpoint now."""
    known = {pod.key for pod in cilium.pods(cilium.nodes())} if pods else set()
    return ", ".join(pod.key for pod in pods if pod.key not in known)


def _facts(kube: Kube) -> Iterator[PodFacts]:
    """All pods that are understood."""
    for raw in kube.list("pods"):
        try:
            yield pod_facts(raw)
        except ObservationError:
            continue
