"""Find Cilium in a cluster by what it is: distributions give its agents other names, labels and namespaces.

An agent is a pod on its node's network with a container that is called, or runs, `cilium-agent`. The usual label is
tried first; where no pod has it, the DaemonSets of the cluster tell. Whatever cannot be found can be named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.observe.cilium_config import is_cilium_config
from pytest_ciliumwg.providers.existing.names import (
    AGENT_CONTAINER,
    AGENT_LABELS,
    AGENT_WORKLOAD,
    CONFIG,
    USUAL_NAMESPACE,
    Hints,
    Names,
)
from pytest_ciliumwg.providers.kubernetes.errors import KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube

_CONFIG_FOLDER = "/tmp/cilium/config-map"  # noqa: S108 - where all charts mount it in the agent
_FORBIDDEN = 403
_BY_HAND = "--ciliumwg-cilium-namespace and --ciliumwg-cilium-labels"

Object = Mapping[str, Any]


def find_names(kube: Kube, hints: Hints) -> Names:
    """Find the agents of Cilium.

    Raises:
        ProviderError: there are none, or they are in several namespaces; the sentence says what can be named.
    """
    labels = hints.labels or AGENT_LABELS
    pods = _agents_among(_pods(kube, hints, labels), hints)
    workload = None if pods or hints.labels else _daemon_set(kube, hints)
    if workload is not None:
        labels = workload["spec"]["selector"]["matchLabels"]
        pods = _agents_among(_pods(kube, hints, labels), hints)
        if not pods:
            where = f"{workload['metadata']['name']} in namespace {workload['metadata'].get('namespace')}"
            raise ProviderError(f"the DaemonSet {where} shall run Cilium's agents, and has not one pod: look at it")
    if not pods:
        raise ProviderError(_nothing_found(kube, hints))
    namespaces = sorted({str(pod["metadata"]["namespace"]) for pod in pods})
    if len(namespaces) > 1:
        raise ProviderError(
            f"Cilium agents run in several namespaces ({', '.join(namespaces)}): only one can be tested, name it with "
            "--ciliumwg-cilium-namespace"
        )
    spec = pods[0]["spec"]
    container = _agent_container(spec, hints)
    return Names(
        namespace=namespaces[0],
        labels=dict(labels),
        container=str(container["name"]),
        workload=_workload(pods),
        config=hints.config or _config_map(kube, namespaces[0], spec, container),
    )


def _nothing_found(kube: Kube, hints: Hints) -> str:
    if hints == Hints():
        return (
            f"no DaemonSet of the cluster at {kube.api_server.host} runs cilium-agent, and no pod has the label "
            "k8s-app=cilium: Cilium does not run there; install it, choose another --ciliumwg-context, or name its "
            f"agents with {_BY_HAND}"
        )
    where = f"namespace {hints.namespace}" if hints.namespace else "any namespace"
    called = ",".join(f"{name}={value}" for name, value in (hints.labels or {}).items())
    whose = f" with the labels {called}" if called else ""
    what = f"a container {hints.container}" if hints.container else "a container that runs cilium-agent"
    return (
        f"no pod{whose} on its node's network in {where} has {what}: see --ciliumwg-cilium-namespace, "
        "--ciliumwg-cilium-labels and --ciliumwg-cilium-container"
    )


def _pods(kube: Kube, hints: Hints, labels: Mapping[str, str]) -> list[Object]:
    try:
        return list(kube.list("pods", namespace=hints.namespace, labels=labels))
    except KubeError as error:
        if error.status != _FORBIDDEN or hints.namespace is not None:
            raise
        return list(kube.list("pods", namespace=USUAL_NAMESPACE, labels=labels))


def _agents_among(pods: Iterable[Object], hints: Hints) -> list[Object]:
    return [pod for pod in pods if _agent_container(pod.get("spec") or {}, hints)]


def _daemon_set(kube: Kube, hints: Hints) -> Object | None:
    """The DaemonSet that runs Cilium's agents."""
    try:
        found = kube.list("daemonsets", namespace=hints.namespace)
    except KubeError as error:
        if error.status != _FORBIDDEN:
            raise
        raise ProviderError(
            f"no pod of the cluster at {kube.api_server.host} has the label k8s-app=cilium, and whether Cilium's "
            f"agents have other names this user may not see ({error}): name them with {_BY_HAND}"
        ) from None
    for workload in found:
        spec = workload.get("spec") or {}
        template = (spec.get("template") or {}).get("spec") or {}
        labels = (spec.get("selector") or {}).get("matchLabels") or {}
        if labels and _agent_container(template, hints):
            return workload
    return None


def _agent_container(spec: Object, hints: Hints) -> Object:
    """The container of a pod that is a Cilium agent; empty where the pod is none."""
    if not spec.get("hostNetwork"):
        return {}
    containers: list[Object] = list(spec.get("containers") or ())
    if hints.container:
        return _first(container for container in containers if container.get("name") == hints.container)
    return _first(container for container in containers if container.get("name") == AGENT_CONTAINER) or _first(
        container for container in containers if _runs_agent(container)
    )


def _first(found: Iterator[Object]) -> Object:
    return next(found, {})


def _runs_agent(container: Object) -> bool:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return any(PurePosixPath(str(word)).name == AGENT_CONTAINER for word in words)


def _workload(pods: Iterable[Object]) -> str:
    """The DaemonSet that most of the agents belong to."""
    owners = Counter(
        str(owner.get("name"))
        for pod in pods
        for owner in pod["metadata"].get("ownerReferences") or ()
        if owner.get("kind") == "DaemonSet"
    )
    return owners.most_common(1)[0][0] if owners else AGENT_WORKLOAD


def _config_map(kube: Kube, namespace: str, spec: Object, container: Object) -> str:
    """The ConfigMap that the agent is given as a folder, else the one with the usual name, else what looks like it."""
    mounts = {mount.get("name") for mount in container.get("volumeMounts") or () if _is_config(mount)}
    for volume in spec.get("volumes") or ():
        if volume.get("name") in mounts and volume.get("configMap"):
            return str(volume["configMap"]["name"])
    if kube.get("configmaps", CONFIG, namespace=namespace) is not None:
        return CONFIG
    try:
        stored = kube.list("configmaps", namespace=namespace)
    except KubeError:
        return CONFIG
    alike = [str(found["metadata"]["name"]) for found in stored if is_cilium_config(found.get("data") or {})]
    return alike[0] if len(alike) == 1 else CONFIG


def _is_config(mount: Object) -> bool:
    return str(mount.get("mountPath") or "").rstrip("/") == _CONFIG_FOLDER
