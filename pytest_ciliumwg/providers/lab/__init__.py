"""The lab: nodes and pods are network namespaces of this machine, with real WireGuard, rules, routes and traffic."""

from __future__ import annotations

from pytest_ciliumwg.providers.lab.cluster import LabCluster, create_lab
from pytest_ciliumwg.providers.lab.spec import LabSpec

__all__ = ["LabCluster", "LabSpec", "create_lab"]
