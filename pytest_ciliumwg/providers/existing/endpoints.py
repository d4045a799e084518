"""Where a cluster says which pods have addresses of their own: three ways, by how Cilium is configured.

Usually in CiliumEndpoints. With CiliumEndpointSlices the former may be missing. Where Cilium publishes neither
(`disable-endpoint-crd`), its agents learn the addresses from the pods themselves, and so do we.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.model.cluster import Node, Pod
from pytest_ciliumwg.observe.cilium_config import endpoints_published, endpoints_sliced
from pytest_ciliumwg.observe.kubernetes import endpoints_from_slices, pods_from_ciliumendpoints, pods_from_pods
from pytest_ciliumwg.providers.kubernetes.errors import NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """How the Cilium of a cluster publishes them."""

    published: bool = True
    sliced: bool = False

    @classmethod
    def of(cls, config: Mapping[str, str]) -> Endpoints:
        """As the data of Cilium's ConfigMap says.

        Raises:
            ProviderError: an entry is not understood.
        """
        try:
            return cls(endpoints_published(config), endpoints_sliced(config))
        except ObservationError as error:
            raise ProviderError(str(error)) from None

    def pods(self, kube: Kube, nodes: tuple[Node, ...]) -> tuple[Pod, ...]:
        """All pods with addresses of their own, on these nodes.

        Raises:
            ProviderError: they cannot be listed or understood.
        """
        found = self._listed(kube, "ciliumendpoints") if self.published else None
        try:
            if found is None:
                return pods_from_pods(kube.list("pods"), nodes)
            if not found and self.sliced:
                found = list(endpoints_from_slices(self._listed(kube, "ciliumendpointslices") or ()))
            return pods_from_ciliumendpoints(_on(found, nodes), nodes)
        except ObservationError as error:
            raise ProviderError(f"what the cluster says of its pods cannot be understood: {error}") from None

    @staticmethod
    def _listed(kube: Kube, resource: str) -> list[Object] | None:
        """None where the API has no such resource, which Cilium itself defines."""
        try:
            return list(kube.list(resource))
        except KubeError as error:
            if error.status != NOT_FOUND:
                raise
            return None


def _on(endpoints: Iterable[Object], nodes: Iterable[Node]) -> Iterator[Object]:
    """The CiliumEndpoints of these nodes; the API keeps those of a node that has left for a while."""
    addresses = {str(ip) for node in nodes for ip in node.addresses}
    for endpoint in endpoints:
        networking = (endpoint.get("status") or {}).get("networking") or {}
        if networking.get("node") in addresses:
            yield endpoint
