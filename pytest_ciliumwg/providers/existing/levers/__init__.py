"""What can be changed in a cluster through its API, for a while."""

from __future__ import annotations

from pytest_ciliumwg.providers.existing.levers.grip import Grip
from pytest_ciliumwg.providers.existing.levers.levers import ExistingLevers
from pytest_ciliumwg.providers.existing.levers.rollout import Rollout
from pytest_ciliumwg.providers.existing.levers.ways import Way, check_versions, way_of

__all__ = ["ExistingLevers", "Grip", "Rollout", "Way", "check_versions", "way_of"]
