"""What a run was asked to be: the values of all options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_ciliumwg.options.clusters import DEFAULT_CLUSTER

_RUN = "record.json.gz"
"""What the report of a run keeps of all that it saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run was asked to be. None is "not given": the provider decides, or takes what it finds."""

    provider: str
    plugin: str | None = None
    """The name that was asked for, where it is that of a plugin's provider; `provider` is the one that it is like."""
    profiles: frozenset[str] = frozenset({"core"})
    require: str | None = None
    """The outcome that the run has to come to."""
    verdict_file: Path | None = None
    publish: tuple[str, str] | None = None
    """Namespace and name of the CronJob that the verdict is put on."""
    other_pods: Literal["check", "report", "off"] = "check"
    pairs: int | None = None
    """With how many others each node is paired; None for all."""
    report: Path | None = None
    plan: bool = False
    keep: bool = False
    cleanup: bool = False
    timeout: int | None = None

    cilium_version: str | None = None
    ip_family: str | None = None
    routing: Literal["native", "vxlan", "geneve"] | None = None
    kube_proxy: Literal["iptables", "ipvs", "none"] | None = None
    node_encryption: bool | None = None
    node_encryption_opt_out: tuple[str, ...] | None = None
    """The labels of the nodes that may; empty: none may."""
    strict_egress: bool | None = None
    strict_ingress: bool | None = None
    userspace_fallback: bool | None = None

    nodes: int | None = None
    cluster_name: str = DEFAULT_CLUSTER
    node_image: str | None = None
    charts: Mapping[str, str] = field(default_factory=dict)
    """Version → Cilium's chart of it; an empty version stands for any."""
    helm_sets: tuple[str, ...] = ()
    helm_values: tuple[Path, ...] = ()
    load_images: tuple[str, ...] = ()

    kubeconfig: Path | None = None
    context: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    max_nodes: int | None = None
    cilium_namespace: str | None = None
    cilium_labels: Mapping[str, str] = field(default_factory=dict)
    cilium_container: str | None = None
    cilium_config: str | None = None
    image: str | None = None
    image_pull_policy: str | None = None
    look: Literal["cilium-agent", "own-agent"] = "cilium-agent"
    image_pull_secret: str | None = None

    changes: tuple[str, ...] = ()
    """Which changes of the profile disruptive; empty for all."""
    upgrade: tuple[str, ...] = ()
    """The versions of an upgrade, the present one first."""
    downgrade: bool = False
    upgrade_command: str | None = None
    observe: float | None = None
    """Seconds."""
    rate: int = 20
    """Messages a second of each continuous flow."""

    inputs: tuple[Path, ...] = ()
    """Of the provider offline: what is judged."""
    anonymise: bool = False
    wireguard: Literal["kernel", "userspace"] | None = None
    faults: tuple[str, ...] = ()
    selftest: bool = False

    @property
    def provider_name(self) -> str:
        """The provider, as it was asked for."""
        return self.plugin or self.provider

    @property
    def judges_a_run(self) -> bool:
        """Whether the record that is judged is that of a whole run, and not of others."""
        return any(path.name == _RUN or (path / _RUN).is_file() for path in self.inputs)

    def contradiction(self) -> str:
        """What of this does not go together, in a sentence; empty when all does."""
        if "" in self.charts and self.cilium_version is None and not self.upgrade:
            return "--ciliumwg-chart: say with --ciliumwg-cilium-version which version it installs"
        if self.upgrade and self.cilium_version not in (None, self.upgrade[0]):
            return f"--ciliumwg-cilium-version={self.cilium_version}: the upgrade begins with {self.upgrade[0]}"
        if self.downgrade and not self.upgrade:
            return "--ciliumwg-downgrade: say with --ciliumwg-upgrade through which versions"
        if self.upgrade_command is not None and not self.upgrade:
            return "--ciliumwg-upgrade-command: say with --ciliumwg-upgrade to which versions it leads"
        if self.upgrade_command is not None and self.observe is not None:
            return "--ciliumwg-upgrade-command and --ciliumwg-observe: either the command upgrades, or somebody else"
        if self.observe is not None and self.upgrade and self.provider != "existing":
            return "--ciliumwg-observe: nobody else upgrades a cluster of ours; leave it out, or leave out the upgrade"
        if self.node_encryption_opt_out is not None and self.node_encryption is False:
            return (
                "--ciliumwg-node-encryption-opt-out: without --ciliumwg-node-encryption nothing is there to opt out of"
            )
        if self.provider == "offline" and not self.inputs:
            return "--ciliumwg-provider=offline: say with --ciliumwg-input what is to be judged"
        if self.provider == "offline" and "disruptive" in self.profiles:
            return "--ciliumwg-profile=disruptive: nothing can be changed with --ciliumwg-provider=offline"
        if self.changes and "disruptive" not in self.profiles:
            return "--ciliumwg-change: changes are made with --ciliumwg-profile=disruptive only"
        return ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """From the options' values by name: what can be said several times has a plural here."""
        plural = {
            "profile": "profiles",
            "fault": "faults",
            "load_image": "load_images",
            "change": "changes",
            "chart": "charts",
            "input": "inputs",
        }
        renamed = plural | {"set": "helm_sets", "values": "helm_values"}
        given = {renamed.get(name, name): value for name, value in values.items()}
        labels = {name: given[name] or {} for name in ("node_selector", "cilium_labels")}
        return cls(**{**given, **labels})
