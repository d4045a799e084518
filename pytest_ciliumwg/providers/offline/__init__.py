"""The record of a cluster that nobody may touch: a sysdump, and captures that somebody took."""

from __future__ import annotations

from pytest_ciliumwg.providers.offline.cluster import OfflineCluster, open_offline
from pytest_ciliumwg.providers.offline.spec import OfflineSpec

__all__ = ["OfflineCluster", "OfflineSpec", "open_offline"]
