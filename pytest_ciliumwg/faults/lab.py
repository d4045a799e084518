"""A lab that is given faults once it stands healthy."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_ciliumwg.faults.catalogue import resolve
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.lab import LabCluster, LabSpec, create_lab


def create_faulty_lab(spec: LabSpec, faults: Iterable[str], progress: Progress) -> LabCluster:
    """Raise a lab and inject faults, each named `NAME` or `NAME@NODE`; with none it is healthy.

    Raises:
        ProviderError: this machine cannot have such a lab, or a fault is unknown or means nothing in it.
    """
    injections, spec = resolve(spec, faults)
    cluster = create_lab(spec, progress)
    try:
        for injection in injections:
            injection.apply(cluster.lab)
            cluster.notes.append(f"FAULT {injection}")
    except BaseException:
        cluster.close()
        raise
    return cluster
