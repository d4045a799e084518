"""Clusters behind an API double, and specs that do not wait long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import tests.loaded  # noqa: F401 - it is its import that counts
from pytest_ciliumwg.faults import create_faulty_lab
from pytest_ciliumwg.providers.existing import ExistingCluster, ExistingSpec, RetryPolicy, connect_existing
from pytest_ciliumwg.providers.lab import LabSpec
from tests.apidouble import ApiDouble, LabBackend, RecordedBackend
from tests.kind import standin

HASTY = RetryPolicy(attempts=4, pause=0.01, longest_pause=0.05, request=0.5, poll=0.02, pull=0.3, settle=0.1, gone=1.5)
MakeDouble = Callable[..., ApiDouble]
Connect = Callable[..., ExistingCluster]


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the stand-in for helm, first on PATH."""
    folder = tmp_path / "standin"
    folder.joinpath("bin").mkdir(parents=True)
    standin.install(folder / "bin", "helm")
    folder.joinpath("scenario.json").write_text("{}")
    monkeypatch.setenv("STANDIN", str(folder))
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    return folder


def scenario(folder: Path, double: ApiDouble, *, values: Any = None, **what: Any) -> None:
    """What the stand-in for helm finds: the double to talk to, and the values of the installation."""
    folder.joinpath("scenario.json").write_text(json.dumps({"double": double.url, **what}))
    folder.joinpath("values.json").write_text(json.dumps(values))


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[MakeDouble]:
    """Makes API doubles over recorded states."""
    doubles: list[ApiDouble] = []

    def make(state: str = "v1.15/on", **how: Any) -> ApiDouble:
        scratch = tmp_path / f"double{len(doubles)}"
        scratch.mkdir()
        doubles.append(ApiDouble(RecordedBackend(state, scratch), **how).__enter__())
        return doubles[-1]

    yield make
    for double in doubles:
        double.__exit__()


@pytest.fixture
def lab_double() -> Iterator[MakeDouble]:
    """Makes API doubles over labs."""
    ends: list[Callable[[], None]] = []

    def make(
        version: str, faults: Sequence[str] = (), *, forks: bool = True, heals: bool = False, **spec: Any
    ) -> ApiDouble:
        cluster = create_faulty_lab(LabSpec(cilium_version=version, **spec), faults, lambda _: None)
        ends.append(cluster.close)
        double = ApiDouble(LabBackend(cluster.lab, forks=forks, heals=heals)).__enter__()
        ends.append(double.__exit__)
        return double

    yield make
    for end in reversed(ends):
        end()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Connects to doubles, and closes the clusters."""
    clusters: list[ExistingCluster] = []

    def make(double: ApiDouble, progress: Callable[[str], None] = lambda _: None, **spec: Any) -> ExistingCluster:
        clusters.append(connect_existing(spec_for(double, tmp_path, **spec), progress))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.close()


def spec_for(double: ApiDouble, directory: Path, **spec: Any) -> ExistingSpec:
    """A spec for a double, with little patience."""
    how: dict[str, Any] = {"retry_policy": HASTY, "timeout": 3.0} | spec
    return ExistingSpec(kubeconfig=double.kubeconfig(directory / "kubeconfig"), **how)
