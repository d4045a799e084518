"""One Service for each test pod, so that flows can go through a ClusterIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.providers.base import SERVICE_PORT
from pytest_ciliumwg.providers.existing.spec import RunId
from pytest_ciliumwg.providers.kubernetes.errors import NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.targets import BEHIND_NODE_PORTS, MOST_SERVERS

_ADDRESS_TYPES = {IPFamily.V4: "IPv4", IPFamily.V6: "IPv6"}
_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP}


@dataclass(frozen=True, slots=True)
class MadeService:
    """A test pod's Service."""

    addresses: tuple[IPAddress, ...]
    node_ports: Mapping[tuple[int, Protocol], int]
    """The pod's port and protocol → the NodePort that leads there; empty where it has none."""


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


def make_services(kube: Kube, run: RunId, pods: Sequence[Pod], *, extended: bool) -> dict[str, MadeService]:
    """Create the Services; returns each pod's key with its Service.

    For the profile extended the first pods have NodePorts as well.

    A Service without a selector has the endpoints that we write ourselves: pods of one DaemonSet all have the same
    labels. Nothing comes back from an API server that does not know EndpointSlices (before Kubernetes 1.21).

    Raises:
        KubeError: the cluster refuses for another reason.
    """
    made: dict[str, MadeService] = {}
    for at, pod in enumerate(pods):
        more = BEHIND_NODE_PORTS if extended and at < MOST_SERVERS else ()
        ports = [_port(name, number) for number in (SERVICE_PORT, *more) for name in _PROTOCOLS]
        # The pods' own names: other pods are served by other Services, however soon.
        name = pod.name
        try:
            for body in _slices(run, name, pod, ports):
                kube.create("endpointslices", body, namespace=run.namespace)
        except KubeError as error:
            if error.status == NOT_FOUND:
                return {}
            raise
        service = kube.create("services", _service(run, name, ports), namespace=run.namespace)
        made[pod.key] = MadeService(cluster_ips(service), _node_ports(service))
    return made


def _port(protocol: str, number: int) -> dict[str, Any]:
    return {"name": f"{protocol.lower()}-{number}", "protocol": protocol, "port": number}


def _node_ports(service: Mapping[str, Any]) -> dict[tuple[int, Protocol], int]:
    ports = (service.get("spec") or {}).get("ports") or ()
    return {(port["port"], _PROTOCOLS[port["protocol"]]): port["nodePort"] for port in ports if port.get("nodePort")}


def _service(run: RunId, name: str, ports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kind = {"type": "NodePort"} if len(ports) > len(_PROTOCOLS) else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": dict(run.labels)},
        "spec": {"ipFamilyPolicy": "PreferDualStack", "ports": list(ports), **kind},
    }


def _slices(run: RunId, service: str, pod: Pod, ports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
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
            "ports": list(ports),
        }
        for address in pod.addresses
    ]


def cluster_ips(service: Mapping[str, Any]) -> tuple[IPAddress, ...]:
    """The ClusterIPs of a Service."""
    spec = service.get("spec") or {}
    return tuple(ip_address(ip) for ip in spec.get("clusterIPs") or [spec.get("clusterIP", "None")] if ip != "None")
