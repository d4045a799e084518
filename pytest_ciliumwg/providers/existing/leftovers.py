"""What runs that were killed left behind, found by its labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.existing.installation import delete_namespace
from pytest_ciliumwg.providers.existing.owner import owner_of
from pytest_ciliumwg.providers.existing.spec import MANAGED_BY, OWNER_ANNOTATION, ExistingSpec
from pytest_ciliumwg.providers.kubernetes.kube import Kube, open_kube


@dataclass(frozen=True, slots=True)
class Leftover:
    """A namespace of ours, of this or another run."""

    namespace: str
    created: str
    """As the API writes times."""
    owner: str
    """`host/process id/start` of its run; empty where it does not say."""

    @property
    def alive(self) -> bool:
        """Whether its run is known to go on."""
        owner = owner_of(self.owner)
        return owner is not None and owner.alive

    def __str__(self) -> str:
        return f"{self.namespace} (created {self.created} by {self.owner or 'an unknown run'})"


def leftovers_of(kube: Kube) -> tuple[Leftover, ...]:
    """Every namespace of ours whose run is not known to go on."""
    found = (_leftover(namespace) for namespace in kube.list("namespaces", labels=dict([MANAGED_BY])))
    return tuple(leftover for leftover in found if not leftover.alive)


def _leftover(raw: Mapping[str, Any]) -> Leftover:
    metadata = raw["metadata"]
    owner = (metadata.get("annotations") or {}).get(OWNER_ANNOTATION, "")
    return Leftover(metadata["name"], str(metadata.get("creationTimestamp") or "at an unknown time"), owner)


def find_leftovers(spec: ExistingSpec) -> tuple[Leftover, ...]:
    """What earlier runs left in a cluster.

    Raises:
        ProviderError: the cluster cannot be asked.
    """
    kube = open_kube(spec.kubeconfig, spec.context, spec.retry_policy)
    try:
        return leftovers_of(kube)
    finally:
        kube.close()


def remove_leftovers(spec: ExistingSpec, leftovers: Iterable[Leftover], progress: Progress) -> None:
    """Remove them, and wait until they are gone.

    Raises:
        ProviderError: one of them cannot be removed.
    """
    kube = open_kube(spec.kubeconfig, spec.context, spec.retry_policy)
    try:
        for leftover in leftovers:
            progress(f"existing: removing {leftover}")
            delete_namespace(kube, leftover.namespace)
    finally:
        kube.close()
