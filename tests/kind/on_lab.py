"""A lab that stands behind a kind cluster of the stand-ins."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from pytest_ciliumwg.providers.kind import KindProvider
from pytest_ciliumwg.providers.lab import LabSpec, create_lab
from tests.apidouble import ApiDouble, LabBackend

VERSION = "1.15.10"
CONTROL, NODE = "lab-control-plane", "lab-worker"
Make = Callable[..., KindProvider]


@contextlib.contextmanager
def lab_behind_kind() -> Iterator[ApiDouble]:
    """An API double over a lab of three nodes, of which one is the control plane."""
    lab = create_lab(LabSpec(cilium_version=VERSION, nodes=3), lambda _: None)
    try:
        with ApiDouble(LabBackend(lab.lab)) as made:
            made.store.merge(
                "nodes", None, CONTROL, {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}
            )
            yield made
    finally:
        lab.close()
