"""What Cilium's objects are called in a cluster, and what its user says of that. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AGENT_LABELS: Mapping[str, str] = {"k8s-app": "cilium"}
AGENT_CONTAINER = "cilium-agent"
AGENT_WORKLOAD = "cilium"
USUAL_NAMESPACE = "kube-system"
CONFIG = "cilium-config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the user says of it; None or empty where it shall be found."""

    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    container: str | None = None
    config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What Cilium's objects are called in a cluster."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=lambda: AGENT_LABELS)
    """Of the agents' pods."""
    container: str = AGENT_CONTAINER
    workload: str = AGENT_WORKLOAD
    """The agents' DaemonSet."""
    config: str = CONFIG
    """The ConfigMap."""
