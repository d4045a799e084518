"""Check a row of versions for an upgrade, whichever upgrader carries it out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import known_version, same_version
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext


def check_versions(context: ContainerContext, versions: Sequence[str]) -> None:
    """Refuse versions that Cilium cannot be brought through.

    Raises:
        ProviderError: there is nothing to do, a version is unknown, or another one runs.
    """
    if len(versions) < 2:
        raise ProviderError("an upgrade needs a version to go to: name one in --ciliumwg-upgrade")
    try:
        known = [known_version(version) for version in versions]
    except ValueError as error:
        raise ProviderError(str(error)) from None
    runs = context.cilium.config().version
    if not same_version(runs, versions[0]):
        raise ProviderError(f"Cilium {runs} runs, not {versions[0]}, with which the upgrade shall begin")
    for before, after in itertools.pairwise(known):
        if before == after:
            raise ProviderError(f"the upgrade from Cilium {before} to {after} would change nothing")
        if after < before:
            context.progress(
                f"WARNING: {before} to {after} is a downgrade, for which Cilium itself may need more than its chart: "
                "read its notes"
            )
        if before.major != after.major or abs(before.minor - after.minor) > 1:
            context.progress(
                f"WARNING: Cilium is only tested from one minor version to the next, and {before} to {after} is more"
            )
