"""From settings to the cluster that they name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.model.cluster import OPT_OUT_LABELS, IPFamily
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.providers.base import Cluster, Progress
from pytest_ciliumwg.providers.charts import Charts

if TYPE_CHECKING:
    from pytest_ciliumwg.providers.existing import Declared, ExistingSpec
    from pytest_ciliumwg.providers.kind import KindSpec

_FAMILIES = {"v4": {IPFamily.V4}, "v6": {IPFamily.V6}, "dual": {IPFamily.V4, IPFamily.V6}}
_DEFAULT_NODES = 3


def families_of(settings: Settings) -> frozenset[IPFamily]:
    """The IP families that a run is about; both where nothing is said."""
    return frozenset(_FAMILIES[settings.ip_family or "dual"])


def version_of(settings: Settings) -> str:
    """The Cilium version that a run is about; the newest known where nothing is said."""
    return settings.cilium_version or (settings.upgrade or (DEFAULT_VERSION,))[0]


def nodes_of(settings: Settings) -> int:
    """How many nodes a cluster of ours gets."""
    return settings.nodes or _DEFAULT_NODES


def open_cluster(hook: Any, settings: Settings, progress: Progress) -> Cluster:
    """The cluster under test, from a plugin that offers one, else from the built-in provider.

    Raises:
        ProviderError: it cannot be had; the sentence says why and what to do.
    """
    offered: Cluster | None = hook.pytest_ciliumwg_cluster(settings=settings, progress=progress)
    if offered is not None:
        return offered
    if settings.plugin is not None:
        raise ProviderError(
            f"--ciliumwg-provider={settings.plugin}: a plugin offers this name, and no plugin's hook "
            "pytest_ciliumwg_cluster made its cluster; let it do so where settings.plugin is that name"
        )
    provided = {"lab": _lab, "kind": _kind, "existing": _existing, "offline": _offline}
    return provided[settings.provider](settings, progress)


def _lab(settings: Settings, progress: Progress) -> Cluster:
    from pytest_ciliumwg.faults import create_faulty_lab
    from pytest_ciliumwg.providers.lab import LabSpec

    spec = LabSpec(
        cilium_version=version_of(settings),
        nodes=nodes_of(settings),
        families=families_of(settings),
        routing_mode=settings.routing or "native",
        node_encryption=bool(settings.node_encryption),
        node_encryption_opt_out=_opt_out(settings),
        strict_egress=bool(settings.strict_egress),
        fallback=bool(settings.userspace_fallback),
        wireguard=settings.wireguard,
        extended="extended" in settings.profiles,
    )
    return create_faulty_lab(spec, settings.faults, progress)


def _kind(settings: Settings, progress: Progress) -> Cluster:
    from pytest_ciliumwg.providers.kind import create_kind

    return create_kind(
        kind_spec(settings),
        existing_spec(settings),
        progress,
        report=settings.report,
        cleanup=settings.cleanup,
    )


def _existing(settings: Settings, progress: Progress) -> Cluster:
    from pytest_ciliumwg.providers.existing import connect_existing, find_leftovers, remove_leftovers

    spec = existing_spec(settings)
    if settings.cleanup:
        remove_leftovers(spec, find_leftovers(spec), progress)
    return connect_existing(spec, progress)


def _offline(settings: Settings, progress: Progress) -> Cluster:
    from pytest_ciliumwg.providers.offline import OfflineSpec, open_offline

    spec = OfflineSpec(inputs=settings.inputs, declared=declared_of(settings), anonymise=settings.anonymise)
    return open_offline(spec, progress)


def kind_spec(settings: Settings) -> KindSpec:
    """The kind cluster that settings ask for."""
    from pytest_ciliumwg.providers.kind import KindSpec

    asked = {
        "routing_mode": settings.routing,
        "kube_proxy": settings.kube_proxy,
        "node_encryption": settings.node_encryption,
        "node_encryption_opt_out": settings.node_encryption_opt_out,
        "strict_egress": settings.strict_egress,
        "strict_ingress": settings.strict_ingress,
        "userspace_fallback": settings.userspace_fallback,
        "timeout": settings.timeout,
    }
    return KindSpec(
        name=settings.cluster_name,
        nodes=nodes_of(settings),
        cilium_version=version_of(settings),
        families=families_of(settings),
        node_image=settings.node_image,
        charts=Charts(settings.charts),
        upgrade_path=settings.upgrade[1:],
        helm_sets=settings.helm_sets,
        helm_values=settings.helm_values,
        load_images=tuple(_expanded(image) for image in settings.load_images),
        **_said(asked),
    )


def existing_spec(settings: Settings) -> ExistingSpec:
    """How to put agents into a cluster, and what is declared of its Cilium."""
    from pytest_ciliumwg.providers.existing import ExistingSpec, Hints

    asked = {
        "image": settings.image,
        "image_pull_policy": settings.image_pull_policy,
        "timeout": settings.timeout,
    }
    return ExistingSpec(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        declared=declared_of(settings),
        node_selector=settings.node_selector,
        max_nodes=settings.max_nodes,
        cilium=Hints(
            namespace=settings.cilium_namespace,
            labels=settings.cilium_labels,
            container=settings.cilium_container,
            config=settings.cilium_config,
        ),
        look=settings.look,
        image_pull_secret=settings.image_pull_secret,
        extended="extended" in settings.profiles,
        charts=Charts(settings.charts),
        upgrade_command=settings.upgrade_command,
        observe_seconds=settings.observe if settings.upgrade else None,
        **_said(asked),
    )


def declared_of(settings: Settings) -> Declared:
    """What is declared: for a cluster of ours everything, for an existing one what was said."""
    from pytest_ciliumwg.providers.existing import Declared

    if settings.provider == "kind":
        config = kind_spec(settings).config
        return Declared(**{field.name: getattr(config, field.name) for field in fields(Declared)})
    return Declared(
        version=settings.cilium_version or (settings.upgrade[0] if settings.upgrade else None),
        families=families_of(settings) if settings.ip_family else None,
        routing_mode=settings.routing,
        node_encryption=settings.node_encryption,
        node_encryption_opt_out=_opt_out(settings),
        userspace_fallback=settings.userspace_fallback,
        strict_egress=settings.strict_egress,
        strict_ingress=settings.strict_ingress,
        kube_proxy_replacement=None if settings.kube_proxy is None else settings.kube_proxy == "none",
    )


def _opt_out(settings: Settings) -> tuple[str, ...]:
    """Who may opt out of node encryption: what is declared, never what is found."""
    declared = settings.node_encryption_opt_out
    return OPT_OUT_LABELS if declared is None else declared


def _said(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def _expanded(path: str) -> str:
    return str(Path(path).expanduser()) if path.startswith("~") else path
