"""Clusters that no run uses any more: kept ones, and those of runs that were killed."""

from __future__ import annotations

from pathlib import Path

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.kind.cluster_state import Kubectl
from pytest_ciliumwg.providers.kind.create import clusters, delete
from pytest_ciliumwg.providers.kind.name_lock import NameLock, unused
from pytest_ciliumwg.providers.kind.tools import Tools


def remove_kind_leftovers(tools: Tools, progress: Progress) -> None:
    """Remove every cluster that is ours and that no run uses.

    Raises:
        ProviderError: one cannot be removed, or is not surely ours any more.
    """
    for name_lock in unused():
        try:
            _remove(tools, name_lock, progress)
        finally:
            name_lock.release()


def _remove(tools: Tools, name_lock: NameLock, progress: Progress) -> None:
    if name_lock.name not in clusters(tools.kind) or not name_lock.begun:
        name_lock.free()
        return
    if name_lock.stands and not answers(tools.kubectl, name_lock):
        raise ProviderError(
            f"the cluster {name_lock.name} does not answer with the kubeconfig that it was made with, so it may be "
            f"somebody else's: look, and remove it with `kind delete cluster --name {name_lock.name}`"
        )
    progress(f"kind: removing the cluster {name_lock.name} that an earlier run left")
    delete(tools.kind, name_lock)


def answers(kubectl: Path, name_lock: NameLock) -> bool:
    """Whether the cluster is the one that we made: no other has a certificate that our kubeconfig trusts."""
    done = Kubectl(kubectl, name_lock.kubeconfig).run("get", "nodes", "-o", "name", "--request-timeout=10s")
    return done.ok


def forget_removed(name_lock: NameLock) -> None:
    """Drop the files of a cluster that its user has removed."""
    for left in name_lock.folder.iterdir():
        if left.name != "lock":
            left.unlink()
