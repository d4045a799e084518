"""One Service for each test pod, so that flows can go through a ClusterIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod
from pytest_ciliumwg.providers.base import SERVICE_PORT
from pytest_ciliumwg.providers.existing.spec import RunId
from pytest_ciliumwg.providers.kubernetes.errors import NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube

_ADDRESS_TYPES = {IPFamily.V4: "IPv4", IPFamily.V6: "IPv6"}
_PORTS = [{"name": name.lower(), "protocol": name, "port": SERVICE_PORT} for name in ("TCP", "UDP")]


def remove_services(kube: Kube, run: RunId) -> None:
    """Delete the Services: their pods are gone, or have other addresses.

    Raises:
        KubeError: the cluster refuses.
    """
    for resource in ("services", "endpointslices"):
        try:
            found = kube.list(resource, namespace=run.namespace, labels=run.labels)
        except KubeError as error:
            if error.status != NOT_FOUND:  # an API server that does not know EndpointSlices
                raise
            found = []
        for item in found:
            kube.delete(resource, item["metadata"]["name"], namespace=run.namespace)


def make_services(kube: Kube, run: RunId, pods: Sequence[Pod]) -> dict[str, tuple[IPAddress, ...]]:
    """Create the Services; returns each pod's key with its Service's ClusterIPs.

    A Service without a selector has the endpoints that we write ourselves: pods of one DaemonSet all have the same
    labels. Nothing comes back from an API server that does not know EndpointSlices (before Kubernetes 1.21).

    Raises:
        KubeError: the cluster refuses for another reason.
    """
    made: dict[str, tuple[IPAddress, ...]] = {}
    for pod in pods:
        # The pods' own names: other pods are served by other Services, however soon.
        name = pod.name
        try:
            for body in _slices(run, name, pod):
                kube.create("endpointslices", body, namespace=run.namespace)
        except KubeError as error:
            if error.status == NOT_FOUND:
                return {}
            raise
        service = kube.create("services", _service(run, name), namespace=run.namespace)
        made[pod.key] = _cluster_ips(service)
    return made


def _service(run: RunId, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": dict(run.labels)},
        "spec": {"ipFamilyPolicy": "PreferDualStack", "ports": _PORTS},
    }


def _slices(run: RunId, service: str, pod: Pod) -> list[dict[str, Any]]:
    """One EndpointSlice for each family, because a slice has addresses of one family only."""
    labels = {
        **run.labels,
        "kubernetes.io/service-name": service,
        "endpointslice.kubernetes.io/managed-by": "pytest-ciliumwg",
    }
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-{IPFamily.of(address).value}", "labels": labels},
            "addressType": _ADDRESS_TYPES[IPFamily.of(address)],
            "endpoints": [{"addresses": [str(address)], "conditions": {"ready": True}, "nodeName": pod.node}],
            "ports": _PORTS,
        }
        for address in pod.addresses
    ]


def _cluster_ips(service: Mapping[str, Any]) -> tuple[IPAddress, ...]:
    spec = service.get("spec") or {}
    return tuple(ip_address(ip) for ip in spec.get("clusterIPs") or [spec["clusterIP"]] if ip != "None")
