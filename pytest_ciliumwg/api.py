"""What checks, providers and report writers of your own import. Docs/extending.md says how far it is stable."""

from __future__ import annotations

from collections.abc import Callable

from pytest_ciliumwg.checks.helpers import Observed, assert_delivered, assert_encrypted
from pytest_ciliumwg.checks.own_traffic import OwnTraffic
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.errors import AgentError, CiliumwgError, ObservationError, ProviderError
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState, Peer, WireGuardDevice
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.traffic import Delivery, Flow, Protocol, Sighting, Verdict
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.providers.base import Cluster, Progress
from pytest_ciliumwg.providers.existing import ExistingSpec, connect_existing
from pytest_ciliumwg.providers.lab import LabSpec, create_lab
from pytest_ciliumwg.report.files import Document
from pytest_ciliumwg.session.opening import existing_spec
from pytest_ciliumwg.verdict.judge import Judgement

OpenWatch = Callable[[], OwnTraffic]
"""The type of the fixture `ciliumwg_watch`."""

__all__ = [
    "AgentError",
    "CiliumConfig",
    "CiliumwgError",
    "Cluster",
    "Delivery",
    "Document",
    "ExistingSpec",
    "Flow",
    "IPFamily",
    "Judgement",
    "LabSpec",
    "Node",
    "NodeState",
    "ObservationError",
    "Observed",
    "OpenWatch",
    "OwnTraffic",
    "Peer",
    "Place",
    "Pod",
    "Progress",
    "Protocol",
    "ProviderError",
    "Settings",
    "Sighting",
    "Verdict",
    "Verify",
    "WireGuardDevice",
    "assert_delivered",
    "assert_encrypted",
    "connect_existing",
    "create_lab",
    "existing_spec",
]
