"""The reader of `helm.toml`: how a version of Cilium with WireGuard is installed, and on which Kubernetes."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from pytest_ciliumwg.expect.facts import known_version
from pytest_ciliumwg.expect.versions import NEWEST_PATCH, Version, parse_version
from pytest_ciliumwg.model.cluster import IPFamily, RoutingMode

_NODE_TAG = re.compile(r":v(\d{1,4})\.(\d{1,4})(?:\.\d{1,4})?(?:[-@].*)?$", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class HelmRequest:
    """What Cilium shall be, in the words of this project."""

    version: str
    pod_cidrs: Mapping[IPFamily, str]
    """The pods' network of each family that the cluster has."""
    routing_mode: RoutingMode = "native"
    node_encryption: bool = False
    node_encryption_opt_out: tuple[str, ...] | None = None
    """The labels of the nodes that opt out of it; None: Cilium's default."""
    strict_egress: bool = False
    strict_ingress: bool = False
    userspace_fallback: bool = False
    api_server: tuple[str, int] | None = None
    """Where the API server is without Services: given exactly when Cilium replaces kube-proxy."""
    local_images: bool = False
    """Whether images were loaded into the nodes."""

    @property
    def v6_alone(self) -> bool:
        """Whether the cluster has no IPv4."""
        return set(self.pod_cidrs) == {IPFamily.V6}


@dataclass(frozen=True, slots=True)
class KubernetesRange:
    """The Kubernetes versions, as `1.30`, that a Cilium version was tested with."""

    oldest: str
    newest: str

    def __contains__(self, minor: object) -> bool:
        return isinstance(minor, str) and _minor(self.oldest) <= _minor(minor) <= _minor(self.newest)

    def __str__(self) -> str:
        return f"{self.oldest} to {self.newest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """A Helm value whose name or whose words changed."""

    old: str
    new: str
    since: str
    """The first version that knows the new name."""
    removed: str
    """The first version that does not know the old one."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Old words to new ones; empty where they stayed."""


@functools.cache
def table() -> dict[str, Any]:
    """The whole table, read once."""
    text = resources.files("pytest_ciliumwg.expect").joinpath("helm.toml").read_text("utf-8")
    return tomllib.loads(text)


def helm_values(request: HelmRequest) -> dict[str, Any]:
    """The values for `helm install`, nested as in a values file.

    Raises:
        ValueError: the version is out of the known range, or cannot do what is asked; one sentence for the user.
    """
    version = known_version(request.version)
    if request.strict_egress and request.v6_alone:
        raise ValueError(
            "the strict mode for what leaves protects IPv4 alone, so it cannot be declared for a cluster without IPv4"
        )
    words = {
        "pods_v4": request.pod_cidrs.get(IPFamily.V4),
        "pods_v6": request.pod_cidrs.get(IPFamily.V6),
        "v4": IPFamily.V4 in request.pod_cidrs,
        "v6": IPFamily.V6 in request.pod_cidrs,
        "protocol": request.routing_mode,
        "tunnel": request.routing_mode != "native",
        "opt_out": ",".join(request.node_encryption_opt_out or ()),
        "api_host": request.api_server and request.api_server[0],
        "api_port": request.api_server and request.api_server[1],
    }
    nested: dict[str, Any] = {}
    for part in _parts(request):
        for name, value in _step(table()["values"][part], version, request.version)["value"].items():
            filled = words[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value
            _nest(nested, name.split("."), filled)
    return nested


def _parts(request: HelmRequest) -> Iterator[str]:
    """The parts of the table that make up a request."""
    native = request.routing_mode == "native"
    yield from ("basis", "families", "encryption", "l7_proxy", "native" if native else "tunnel")
    optional = {
        "native_v4": native and IPFamily.V4 in request.pod_cidrs,
        "native_v6": native and IPFamily.V6 in request.pod_cidrs,
        "tunnel_over_v6": not native and request.v6_alone,
        "node_encryption": request.node_encryption,
        "node_encryption_opt_out": request.node_encryption and request.node_encryption_opt_out is not None,
        "userspace_fallback": request.userspace_fallback,
        "strict_egress": request.strict_egress,
        "strict_ingress": request.strict_ingress,
        "kube_proxy": request.api_server is None,
        "no_kube_proxy": request.api_server is not None,
        "local_images": request.local_images,
    }
    yield from (name for name, wanted in optional.items() if wanted)


def _step(part: Mapping[str, Any], version: Version, shown: str) -> dict[str, Any]:
    found: dict[str, Any] = [step for step in part["steps"] if parse_version(step["since"]) <= version][-1]
    if found.get("never"):
        raise ValueError(f"{part['available']}, but Cilium {shown} shall be installed")
    return found


def _nest(nested: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        nested = nested.setdefault(name, {})
    nested[path[-1]] = value


def renamed() -> tuple[Renamed, ...]:
    """All Helm values that changed their name or words, oldest change first."""
    return tuple(Renamed(**entry) for entry in table()["renamed"])


def chart_version(version: str) -> str:
    """What `helm --version` needs to get this version: itself, or the newest patch of a minor version.

    `-0` lets in pre-releases, which are all that the newest minor version may have; a release is newer than those.
    """
    known = known_version(version)
    return f"~{known}.0-0" if known.patch == NEWEST_PATCH else version.strip().removeprefix("v")


def chart_arguments(chart: str | None, version: str) -> list[str]:
    """Which chart, for `helm`.

    Args:
        chart: A folder, an archive or `oci://…`; None: from Cilium's Helm repository.
        version: The version of Cilium; a folder, an archive or an address with a tag is of one version anyway.
    """
    if chart is None:
        repository, name = chart_repository()
        return [name, "--repo", repository, "--version", chart_version(version)]
    if chart.startswith("oci://") and ":" not in chart.removeprefix("oci://").rpartition("/")[2]:
        return [chart, "--version", chart_version(version)]
    return [chart]


def kubernetes_for(version: str) -> KubernetesRange:
    """The Kubernetes versions that a Cilium version was tested with."""
    return KubernetesRange(**_step(table()["tested"], known_version(version), version)["value"])


def kubernetes_of(node_image: str) -> str | None:
    """The Kubernetes version of a node image, as `1.30`; None where the image's tag does not tell."""
    found = _NODE_TAG.search(node_image.partition("@")[0])
    return f"{found[1]}.{found[2]}" if found else None


def default_node_image_for(versions: Iterable[str]) -> str:
    """The pinned node image with the newest Kubernetes that each of these Cilium versions was tested with.

    Raises:
        ValueError: there is none, or a version is out of the known range; one sentence for the user.
    """
    tested = {version: kubernetes_for(version) for version in versions}
    images = [str(entry["image"]) for entry in table()["node_images"]]
    suitable = [image for image in images if all(kubernetes_of(image) in known for known in tested.values())]
    if not suitable:
        ranges = ", ".join(f"Cilium {version} with {known}" for version, known in tested.items())
        message = (
            f"no pinned node image has a Kubernetes that all of these versions were tested with ({ranges}): go in "
            "smaller steps, or force one with --ciliumwg-node-image"
        )
        raise ValueError(message)
    return max(suitable, key=lambda image: _minor(kubernetes_of(image) or ""))


def oldest_kind(node_image: str) -> str:
    """The oldest version of kind that can start a node image."""
    needed = {kubernetes_of(entry["image"]): entry.get("kind") for entry in table()["node_images"]}
    return str(needed.get(kubernetes_of(node_image)) or table()["tools"]["kind"])


def oldest_helm() -> str:
    """The oldest version of helm that does."""
    return str(table()["tools"]["helm"])


def chart_repository() -> tuple[str, str]:
    """Cilium's Helm repository, and the name of its chart there."""
    return str(table()["chart"]["repository"]), str(table()["chart"]["name"])


def _minor(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
