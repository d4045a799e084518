"""What is asked of an existing cluster, and the names under which this package appears in it. No I/O."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import OPT_OUT_LABELS, CiliumConfig, IPFamily, RoutingMode
from pytest_ciliumwg.providers.charts import Charts
from pytest_ciliumwg.providers.existing.names import Hints
from pytest_ciliumwg.providers.kubernetes.retry import RetryPolicy

DEFAULT_IMAGE = "python:3.14-alpine@sha256:05b2b8b732ecd268fee8727a369f936f022d1321b59befd13c30ede22769dcdc"
"""The one place that pins it. To bump it, take the digest of the image index (all platforms) that
`docker buildx imagetools inspect python:3.14-alpine` prints in its line `Digest`."""
MANAGED_BY = ("app.kubernetes.io/managed-by", "pytest-ciliumwg")
RUN_LABEL = "ciliumwg/run"
ROLE_LABEL = "ciliumwg/role"
OWNER_ANNOTATION = "ciliumwg/owner"
PREFIX = "ciliumwg-"
_HOST_PORTS = range(20000, 21000)
"""Above Kubernetes' and Cilium's own ports on a node, below NodePorts and ephemeral ports."""
PULL_POLICIES = ("Always", "IfNotPresent", "Never")


Look = Literal["cilium-agent", "own-agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the user declares of the cluster's Cilium; None is "as it is found", and the report says so.

    That encryption is on is always declared.
    """

    version: str | None = None
    families: frozenset[IPFamily] | None = None
    routing_mode: RoutingMode | None = None
    node_encryption: bool | None = None
    node_encryption_opt_out: tuple[str, ...] = OPT_OUT_LABELS
    """Who may opt out of node encryption; it is never taken from the cluster."""
    userspace_fallback: bool | None = None
    strict_egress: bool | None = None
    strict_ingress: bool | None = None
    kube_proxy_replacement: bool | None = None

    def over(self, actual: CiliumConfig) -> CiliumConfig:
        """The expectation: what is declared, and for the rest what was found."""
        return replace(actual, encryption=True, **self.given())

    def given(self) -> dict[str, Any]:
        """The declared settings."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def assumed(self) -> tuple[str, ...]:
        """The names of the settings that were not declared."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingSpec:
    """Which cluster, and how to put agents into it."""

    kubeconfig: Path | None = None
    """None: `$KUBECONFIG`, then `~/.kube/config`, then the service account of the pod that we run in."""
    context: str | None = None
    declared: Declared = field(default_factory=Declared)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels of the nodes to test; empty for all."""
    max_nodes: int | None = None
    image: str = DEFAULT_IMAGE
    """Any image with python3 >= 3.8."""
    image_pull_policy: str = "IfNotPresent"
    look: Look = "cilium-agent"
    """Through whose container nodes are looked at."""
    image_pull_secret: str | None = None
    """A secret to copy into our namespace, as `NAMESPACE/NAME`, or `NAME` in the namespace default."""
    cilium: Hints = field(default_factory=Hints)
    """What the user says of where Cilium is."""
    timeout: float = 180.0
    """Seconds until all agents must be ready."""
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    extended: bool = False
    """Whether test pods get NodePorts and hostPorts too."""
    charts: Charts = field(default_factory=Charts)
    """For upgrades with Helm."""
    upgrade_command: str | None = None
    """A shell command of the user's own that upgrades Cilium, with {from} and {to} for the versions; None: Helm."""
    observe_seconds: float | None = None
    """Seconds that others may take for each upgrade, while this run only watches; None: this run upgrades."""
    command_timeout: float = 1800.0
    """Seconds that Helm or the user's own command may take."""

    def check(self) -> None:
        """Refuse what cannot work before anything is created.

        Raises:
            ProviderError: a value is out of its range.
        """
        if self.image_pull_policy not in PULL_POLICIES:
            raise ProviderError(
                f"the image pull policy is {', '.join(PULL_POLICIES[:-1])} or {PULL_POLICIES[-1]}, "
                f"not {self.image_pull_policy!r}"
            )
        if self.max_nodes is not None and self.max_nodes < 2:
            raise ProviderError(f"traffic between nodes needs at least 2 of them, not {self.max_nodes}")
        if not self.image.strip():
            raise ProviderError("the image of the agents is empty: name one with python3 in it")
        if self.upgrade_command is not None and self.observe_seconds is not None:
            raise ProviderError("either a command upgrades Cilium, or somebody else does while we observe: choose one")
        if self.timeout <= 0:
            raise ProviderError(f"the agents need time to get ready, so the timeout cannot be {self.timeout:g} s")


@dataclass(frozen=True, slots=True)
class RunId:
    """One run's identity in a cluster; random, so that two runs never share a namespace."""

    value: str

    @classmethod
    def new(cls) -> RunId:
        """A new identity."""
        return cls(secrets.token_hex(4))

    @property
    def namespace(self) -> str:
        """The namespace that holds everything of the run."""
        return f"{PREFIX}{self.value}"

    @property
    def host_port(self) -> int:
        """The hostPort of its test pods: two runs in one cluster hardly ever have the same."""
        return _HOST_PORTS[int(self.value, 16) % len(_HOST_PORTS)]

    @property
    def labels(self) -> dict[str, str]:
        """The labels that every object of the run carries."""
        return {MANAGED_BY[0]: MANAGED_BY[1], RUN_LABEL: self.value}
