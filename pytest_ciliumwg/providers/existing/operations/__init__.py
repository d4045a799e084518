"""What can be changed in a cluster through its API, for a while."""

from __future__ import annotations

from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.existing.operations.operations import ExistingOperations
from pytest_ciliumwg.providers.existing.operations.rollout import Rollout
from pytest_ciliumwg.providers.existing.operations.upgrade_path import check_versions
from pytest_ciliumwg.providers.existing.operations.upgraders import Upgrader, upgrader_of

__all__ = ["ContainerContext", "ExistingOperations", "Rollout", "Upgrader", "check_versions", "upgrader_of"]
