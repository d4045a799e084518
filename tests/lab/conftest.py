"""Labs that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from pytest_ciliumwg.faults import create_faulty_lab
from pytest_ciliumwg.providers.lab import LabCluster, LabSpec

Raise = Callable[..., LabCluster]


@pytest.fixture
def raise_lab() -> Iterator[Raise]:
    """Raises labs from the arguments of `LabSpec` and closes them."""
    clusters = []

    def make(version: str = "1.18", faults: Sequence[str] = (), **spec: Any) -> LabCluster:
        cluster = create_faulty_lab(LabSpec(cilium_version=version, **spec), faults, lambda _: None)
        clusters.append(cluster)
        return cluster

    yield make
    for cluster in clusters:
        cluster.close()
