"""What a kind cluster is asked to be, and the kind configuration and Helm values that follow from it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import DEFAULT_VERSION, contradictions
from pytest_ciliumwg.expect.helm import (
    HelmRequest,
    default_node_image_for,
    helm_values,
    kubernetes_for,
    kubernetes_of,
    oldest_kind,
)
from pytest_ciliumwg.model.cluster import OPT_OUT_LABELS, CiliumConfig, IPFamily, RoutingMode
from pytest_ciliumwg.providers.charts import Charts

KubeProxy = Literal["iptables", "ipvs", "none"]
DUAL = frozenset(IPFamily)
POD_SUBNETS = {IPFamily.V4: "10.244.0.0/16", IPFamily.V6: "fd00:10:244::/56"}
SERVICE_SUBNETS = {IPFamily.V4: "10.96.0.0/16", IPFamily.V6: "fd00:10:96::/112"}
NAMESPACE = "kube-system"
RELEASE = "cilium"
_API_PORT = 6443
_IP_FAMILY = {frozenset({IPFamily.V4}): "ipv4", frozenset({IPFamily.V6}): "ipv6", DUAL: "dual"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """The cluster, and the Cilium in it."""

    name: str = "ciliumwg"
    nodes: int = 3
    cilium_version: str = DEFAULT_VERSION
    upgrade_path: tuple[str, ...] = ()
    """The versions that Cilium is brought to later: the node image suits them all."""
    families: frozenset[IPFamily] = DUAL
    routing_mode: RoutingMode = "native"
    kube_proxy: KubeProxy = "iptables"
    node_encryption: bool = False
    node_encryption_opt_out: tuple[str, ...] | None = None
    """The labels of the nodes that opt out of it, none if empty; None: Cilium's default, the control plane."""
    strict_egress: bool = False
    strict_ingress: bool = False
    userspace_fallback: bool = False
    node_image: str | None = None
    """None: the pinned one with the newest Kubernetes that the Cilium versions were tested with."""
    charts: Charts = field(default_factory=Charts)
    helm_sets: tuple[str, ...] = ()
    helm_values: tuple[Path, ...] = ()
    load_images: tuple[str, ...] = ()
    """Names of images in the local Docker, or paths of archives."""
    timeout: float = 600.0
    """Seconds that one step may take."""
    poll: float = 2.0
    """Seconds between two looks at what is awaited."""

    @property
    def config(self) -> CiliumConfig:
        """What the run declares of this cluster's Cilium."""
        return CiliumConfig(
            version=self.cilium_version,
            encryption=True,
            families=self.families,
            routing_mode=self.routing_mode,
            node_encryption=self.node_encryption,
            node_encryption_opt_out=self.node_encryption_opt_out
            if self.node_encryption_opt_out is not None
            else OPT_OUT_LABELS,
            userspace_fallback=self.userspace_fallback,
            strict_egress=self.strict_egress,
            strict_ingress=self.strict_ingress,
            kube_proxy_replacement=self.kube_proxy == "none",
        )

    @property
    def image(self) -> str:
        """The node image."""
        return self.node_image or default_node_image_for((self.cilium_version, *self.upgrade_path))

    @property
    def oldest_kind(self) -> str:
        """The oldest kind that will do."""
        return oldest_kind(self.image)

    def check(self) -> None:
        """Refuse what cannot work before anything is made.

        Raises:
            ProviderError: one sentence with everything that contradicts itself.
        """
        try:
            refused = list(contradictions(self.config))
            refused += [] if refused else self._refusals()
            if not refused:
                self.values()
        except ValueError as error:
            raise ProviderError(str(error)) from None
        if refused:
            raise ProviderError("; ".join(refused))

    def _refusals(self) -> list[str]:
        tested, kubernetes = kubernetes_for(self.cilium_version), kubernetes_of(self.image)
        found = []
        if kubernetes is None:
            found.append(
                f"the tag of the node image {self.image} does not tell its Kubernetes version: "
                "name one like kindest/node:v1.35.8"
            )
        elif kubernetes not in tested:
            found.append(
                f"Cilium {self.cilium_version} is tested with Kubernetes {tested}, but the node image {self.image} has "
                f"{kubernetes}: choose another --ciliumwg-node-image or --ciliumwg-cilium-version"
            )
        archives = [image for image in self.load_images if _looks_like_a_file(image) and not Path(image).is_file()]
        found += [f"the image archive {archive} does not exist" for archive in archives]
        found += self.charts.refusals((self.cilium_version, *self.upgrade_path))
        return found

    def kind_config(self) -> dict[str, Any]:
        """The configuration for `kind create cluster`."""
        # The control plane keeps its taint: the agents tolerate all, and so does Cilium.
        roles = ["control-plane", *["worker"] * (self.nodes - 1)]
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": self.name,
            "networking": {
                "disableDefaultCNI": True,
                "ipFamily": _IP_FAMILY[self.families],
                "kubeProxyMode": self.kube_proxy,
                "podSubnet": self._subnets(POD_SUBNETS),
                "serviceSubnet": self._subnets(SERVICE_SUBNETS),
            },
            "nodes": [{"role": role, "image": self.image} for role in roles],
        }

    def _subnets(self, subnets: dict[IPFamily, str]) -> str:
        return ",".join(subnet for family, subnet in subnets.items() if family in self.families)

    def values(self) -> dict[str, Any]:
        """The Helm values of our own, before those of the user."""
        return helm_values(
            HelmRequest(
                version=self.cilium_version,
                pod_cidrs={family: cidr for family, cidr in POD_SUBNETS.items() if family in self.families},
                routing_mode=self.routing_mode,
                node_encryption=self.node_encryption,
                node_encryption_opt_out=self.node_encryption_opt_out,
                strict_egress=self.strict_egress,
                strict_ingress=self.strict_ingress,
                userspace_fallback=self.userspace_fallback,
                api_server=(f"{self.name}-control-plane", _API_PORT) if self.kube_proxy == "none" else None,
                local_images=bool(self.load_images),
            )
        )

    def chart_arguments(self) -> list[str]:
        """Which chart, for `helm`."""
        return self.charts.arguments(self.cilium_version)

    def identity(self) -> dict[str, Any]:
        """What a kept cluster must have been made with to be used again."""
        return {
            "kind": self.kind_config(),
            # Images can be loaded into a cluster that stands, and Helm goes over it again in any case.
            "values": replace(self, load_images=()).values(),
            "chart": self.chart_arguments(),
            "set": list(self.helm_sets),
            "files": [path.read_text("utf-8", "replace") for path in self.helm_values],
        }


def _looks_like_a_file(image: str) -> bool:
    return image.startswith(("/", "./", "../", "~")) or image.endswith((".tar", ".tar.gz", ".tgz"))
