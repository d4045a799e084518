"""Clusters that no run uses any more: kept ones, and those of runs that were killed."""

from __future__ import annotations

from pathlib import Path

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.kind.claim import Claim, unused
from pytest_ciliumwg.providers.kind.look import Kubectl
from pytest_ciliumwg.providers.kind.making import clusters, delete
from pytest_ciliumwg.providers.kind.tools import Tools


def remove_kind_leftovers(tools: Tools, progress: Progress) -> None:
    """Remove every cluster that is ours and that no run uses.

    Raises:
        ProviderError: one cannot be removed, or is not surely ours any more.
    """
    for claim in unused():
        try:
            _remove(tools, claim, progress)
        finally:
            claim.release()


def _remove(tools: Tools, claim: Claim, progress: Progress) -> None:
    if claim.name not in clusters(tools.kind) or not claim.begun:
        claim.free()
        return
    if claim.stands and not answers(tools.kubectl, claim):
        raise ProviderError(
            f"the cluster {claim.name} does not answer with the kubeconfig that it was made with, so it may be "
            f"somebody else's: look, and remove it with `kind delete cluster --name {claim.name}`"
        )
    progress(f"kind: removing the cluster {claim.name} that an earlier run left")
    delete(tools.kind, claim)


def answers(kubectl: Path, claim: Claim) -> bool:
    """Whether the cluster is the one that we made: no other has a certificate that our kubeconfig trusts."""
    done = Kubectl(kubectl, claim.kubeconfig).run("get", "nodes", "-o", "name", "--request-timeout=10s")
    return done.ok


def forget_removed(claim: Claim) -> None:
    """Drop what is known of a cluster that its user has removed himself."""
    for left in claim.folder.iterdir():
        if left.name != "lock":
            left.unlink()
