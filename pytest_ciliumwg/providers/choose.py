"""Open the cluster that the settings name."""

from __future__ import annotations

from typing import Any

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.options import Settings
from pytest_ciliumwg.providers.base import Cluster, Progress

_FAMILIES = {"v4": {IPFamily.V4}, "v6": {IPFamily.V6}, "dual": {IPFamily.V4, IPFamily.V6}}
_LAB = "`pytest --ciliumwg --ciliumwg-provider=lab`"


def families_of(settings: Settings) -> frozenset[IPFamily]:
    """The IP families that a run is about."""
    return frozenset(_FAMILIES[settings.ip_family])


def open_cluster(hook: Any, settings: Settings, progress: Progress) -> Cluster:
    """The cluster under test, from a plugin that offers one, else from the built-in provider.

    Raises:
        ProviderError: it cannot be had; the sentence says why and what to do.
    """
    offered: Cluster | None = hook.pytest_ciliumwg_cluster(settings=settings, progress=progress)
    if offered is not None:
        return offered
    if settings.provider == "lab":
        return _lab(settings, progress)
    raise ProviderError(f"the provider {settings.provider} is not there yet; the lab is: {_LAB}")


def _lab(settings: Settings, progress: Progress) -> Cluster:
    from pytest_ciliumwg.providers.lab import LabSpec, create_lab

    return create_lab(
        LabSpec(
            cilium_version=settings.cilium_version or DEFAULT_VERSION,
            nodes=settings.nodes or 3,
            families=families_of(settings),
            faults=settings.faults,
        ),
        progress,
    )
