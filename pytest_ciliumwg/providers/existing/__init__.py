"""An existing cluster: any kubeconfig and context; all that is ours is one namespace, removed at the end."""

from __future__ import annotations

from pytest_ciliumwg.providers.existing.cluster import ExistingCluster, connect_existing
from pytest_ciliumwg.providers.existing.leftovers import Leftover, find_leftovers, remove_leftovers
from pytest_ciliumwg.providers.existing.names import Hints
from pytest_ciliumwg.providers.existing.spec import DEFAULT_IMAGE, Declared, ExistingSpec
from pytest_ciliumwg.providers.kubernetes.retry import RetryPolicy

__all__ = [
    "DEFAULT_IMAGE",
    "Declared",
    "ExistingCluster",
    "ExistingSpec",
    "Hints",
    "Leftover",
    "RetryPolicy",
    "connect_existing",
    "find_leftovers",
    "remove_leftovers",
]
