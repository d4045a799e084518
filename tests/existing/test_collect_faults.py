"""What is collected of a cluster while it is broken has the first finding of a live run there, judged elsewhere."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.cli import records
from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.options.table import OPTIONS
from pytest_ciliumwg.providers.base import Cluster, Progress
from pytest_ciliumwg.providers.offline.collect import collect, write_archive
from tests.apidouble import ApiDouble, LabBackend
from tests.existing.conftest import Connect, MakeDouble, spec_for

SECONDS = 2.0
TWO_TRIES = 12.0
"""How long it takes until WireGuard has asked for a session twice more: every 5 s."""
# Fault → the Cilium of its lab, and how long is captured.
FAULTS = {
    "redirect-removed": ("1.18.3", SECONDS),
    "rule-deleted": ("1.13.18", SECONDS),
    "table-emptied": ("1.13.18", SECONDS),
    "leak-other-pods-v6": ("1.18.3", SECONDS),
    "leak-other-pods-vxlan": ("1.18.3", SECONDS),
    "encryption-off-here": ("1.18.3", SECONDS),
    "allowed-ip-missing": ("1.18.3", SECONDS),
    "peer-removed": ("1.18.3", SECONDS),
    "wrong-peer-key": ("1.18.3", SECONDS),
    "key-unpublished": ("1.18.3", SECONDS),
    "device-down": ("1.18.3", SECONDS),
    "device-mtu-low": ("1.18.3", SECONDS),
    "handshake-one-way": ("1.18.3", TWO_TRIES),
}


class Offered:
    """A plugin that offers a cluster which stands already."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def pytest_ciliumwg_cluster(self, settings: Settings, progress: Progress) -> Cluster | None:
        del progress
        return self._cluster if settings.provider == "existing" else None


def judged(pytester: pytest.Pytester, name: str, *arguments: str, plugins: tuple[object, ...] = ()) -> dict[str, Any]:
    report = Path(pytester.path, name)
    given = ("--ciliumwg", f"--ciliumwg-report={report}", "-p", "no:cacheprovider", *arguments)
    pytester.runpytest_inprocess(*given, plugins=plugins)
    document: dict[str, Any] = json.loads((report / "report.json").read_text("utf-8"))
    return document


def collected(double: ApiDouble, folder: Path, seconds: float) -> Path:
    found = collect(spec_for(double, folder, timeout=60.0), [], lambda _: None)
    records.capture(spec_for(double, folder, timeout=60.0), found, seconds)
    assert found.problems == []
    write_archive(found, path := folder / "broken.tar.gz")
    return path


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_first_finding(
    lab_double: MakeDouble,
    connect: Connect,
    tmp_path: Path,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    for name in ("GITHUB_ACTIONS", *(option.env for option in OPTIONS)):
        monkeypatch.delenv(name, raising=False)
    version, seconds = FAULTS[fault]
    double = lab_double(version, [fault])
    assert isinstance(double.backend, LabBackend)
    lab = double.backend.lab
    for one, other in combinations(lab.layout, 2):
        start_foreign_traffic(lab, one, other)
    cluster = connect(double, timeout=60.0)
    path = collected(double, tmp_path, seconds)
    live = judged(pytester, "live", "--ciliumwg-provider=existing", plugins=(Offered(cluster),))
    offline = judged(pytester, "offline", "--ciliumwg-provider=offline", f"--ciliumwg-input={path}")
    first, again = live["findings"][0], offline["findings"][0]
    assert live["outcome"] == offline["outcome"] == "not-conformant"
    assert again["state"][:1] == first["state"][:1] or not first["state"]
    assert again["nodes"] == first["nodes"]
    # That traffic is lost is not to be seen in captures; what is in cleartext is.
    assert again["headline"] == first["headline"] or "traffic is lost" in first["headline"]
