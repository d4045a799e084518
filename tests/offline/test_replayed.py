"""The records of runs, as this version and earlier ones wrote them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.recording import NAME
from pytest_ciliumwg.providers.offline.replayed import ReplayedRun
from pytest_ciliumwg.providers.offline.spec import OfflineSpec


def replayed(directory: Path, raw: Any) -> ReplayedRun:
    path = directory / NAME
    path.write_bytes(gzip.compress(json.dumps(raw).encode()))
    return ReplayedRun(path, OfflineSpec(inputs=(path,)))


def recording(routes: object) -> dict[str, Any]:
    """A run that looked at one node."""
    state = {
        "node": "one", "observed_at": 1.0, "link": None, "wireguard": None, "peers": [], "rules": [], "redirects": [],
        "native_devices": [], "rp_filter": None, "routes": routes,
    }  # fmt: skip
    reading = {"nodes": [], "states": {"one": state}, "pods_before": [], "pods_after": []}
    declared = {"version": "1.20.3", "encryption": True, "families": ["v4"]}
    return {
        "format": 1, "provider": "existing", "description": [], "declared": declared, "configs": {}, "members": [],
        "first": reading, "measurement": None,
    }  # fmt: skip


ROUTE = {"family": "v4", "table": "main", "destination": "10.0.2.0/24", "device": "eth0"}


def test_what_is_stored_once_is_read_as_what_each_node_had(tmp_path: Path) -> None:
    before = replayed(tmp_path, recording([ROUTE, ROUTE]))
    told = {"value": recording([0, 0]), "shared": {"routes": [ROUTE]}}
    now = replayed(tmp_path, {"format": 2, "recording": told})
    assert now.reading() == before.reading()
    assert [str(route.destination) for route in now.state("one").routes] == ["10.0.2.0/24"] * 2


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"format": 3, "recording": {}}, "has format 3, and this version reads 2: update it"),
        ({"format": 2}, "is no whole record of a run"),
        ({"format": 2, "recording": {"value": recording([0]), "shared": {}}}, "is no whole record of a run"),
    ],
)
def test_a_record_that_is_not_understood(tmp_path: Path, raw: object, why: str) -> None:
    with pytest.raises(ProviderError, match=why):
        replayed(tmp_path, raw)
