"""Records of clusters: real sysdumps with captures, and what is made of them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.offline import OfflineCluster, OfflineSpec, open_offline

RECORDINGS = Path(__file__).parent.parent / "recordings" / "offline"
HEALTHY, DETACHED = RECORDINGS / "healthy.zip", RECORDINGS / "egress-detached.zip"

Open = Callable[..., OfflineCluster]
Changed = Callable[[Callable[[str, bytes], Iterable[tuple[str, bytes]]]], Path]


def opened(*inputs: Path) -> OfflineCluster:
    """A record, read."""
    cluster = open_offline(OfflineSpec(inputs=inputs), lambda _: None)
    assert isinstance(cluster, OfflineCluster)
    return cluster


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """The healthy sysdump, with each of its files replaced by what a function makes of its name and content."""

    def change(how: Callable[[str, bytes], Iterable[tuple[str, bytes]]]) -> Path:
        path = tmp_path / "cilium-sysdump.zip"
        with zipfile.ZipFile(HEALTHY) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                for other, content in how(name, old.read(name)):
                    new.writestr(other, content)
        return path

    return change
