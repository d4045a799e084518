"""What a cluster offers for the paths of the profile extended: it is found, or made, only where that is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.model.traffic import Path, Protocol
from pytest_ciliumwg.providers.base import SERVICE_PORT, AgentTransport

BY_OWN, BY_SERVER, BY_THIRD, BY_OUTSIDE = range(SERVICE_PORT + 1, SERVICE_PORT + 5)
"""Ports of test pods behind NodePorts, one for each way to them: by the sender's own node, by the pod's node, by a
third one, and from outside of the cluster. Each flow has a port of its own, so that its server knows it."""
BEHIND_HOST_PORT = SERVICE_PORT + 5
BEHIND_NODE_PORTS = (BY_OWN, BY_SERVER, BY_THIRD, BY_OUTSIDE)
MOST_SERVERS = 16
"""How many test pods get NodePorts: a cluster has 2768, and each pod takes eight."""
OUTSIDE = "outside"
"""Under which name flows know the client outside of the cluster."""
DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Dns:
    """The cluster's DNS service."""

    addresses: tuple[IPAddress, ...]
    """Its ClusterIPs."""
    nodes: tuple[str, ...]
    """Where its pods are."""
    domain: str
    """The domain of the cluster's names."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A machine that is no node and no pod of the cluster."""

    addresses: tuple[IPAddress, ...]
    """Those by which nodes reach it, and it reaches them."""
    agent: AgentTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where flows of the profile extended go, and why some of them cannot be sent."""

    node_ports: Mapping[str, Mapping[tuple[int, Protocol], int]] = field(default_factory=dict)
    """Test pod's key → its port and protocol → the NodePort that leads there."""
    host_port: int | None = None
    """The hostPort of every test pod."""
    dns: Dns | None = None
    outside: Outside | None = None
    missing: Mapping[Path, str] = field(default_factory=dict)
    """Path → why nothing can be sent on it."""


NO_TARGETS = Targets()
