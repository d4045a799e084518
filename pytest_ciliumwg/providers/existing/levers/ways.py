"""Three ways to another version of Cilium: with Helm, by a command of the user's, or by somebody else."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import known_version, same_version
from pytest_ciliumwg.providers.existing.levers.grip import Grip
from pytest_ciliumwg.providers.existing.levers.release import HelmWay
from pytest_ciliumwg.providers.existing.levers.rollout import Rollout
from pytest_ciliumwg.providers.programs import run

_LAST_LINES = 5


class Way(Protocol):
    """A way to another version."""

    def check(self, versions: Sequence[str]) -> None:
        """Refuse what cannot work before anything is changed.

        Raises:
            ProviderError: one sentence.
        """
        ...

    def go(self, version: str) -> None:
        """Bring Cilium there, and wait until every agent runs it and is ready.

        Raises:
            ProviderError: it did not work.
        """
        ...


def way_of(grip: Grip) -> Way:
    """The way that was asked for; Helm where nothing was said."""
    spec = grip.spec
    if spec.upgrade_command is not None:
        return CommandWay(grip, spec.upgrade_command)
    if spec.observe_seconds is not None:
        return ObservedWay(grip, spec.observe_seconds)
    return CheckedHelm(grip)


def check_versions(grip: Grip, versions: Sequence[str]) -> None:
    """Refuse versions that no way leads through.

    Raises:
        ProviderError: there is nothing to do, a version is unknown, or another one runs.
    """
    if len(versions) < 2:
        raise ProviderError("an upgrade needs a version to go to: name one in --ciliumwg-upgrade")
    try:
        known = [known_version(one) for one in versions]
    except ValueError as error:
        raise ProviderError(str(error)) from None
    runs = grip.cilium.config().version
    if not same_version(runs, versions[0]):
        raise ProviderError(f"Cilium {runs} runs, not {versions[0]}, with which the upgrade shall begin")
    for one, other in itertools.pairwise(known):
        if one == other:
            raise ProviderError(f"the upgrade from Cilium {one} to {other} would change nothing")
        if one.major != other.major or abs(one.minor - other.minor) > 1:
            grip.progress(
                f"WARNING: Cilium is only tested from one minor version to the next, and {one} to {other} is more"
            )


class CheckedHelm:
    """Helm, with the values that the user has set, in the words of each version."""

    def __init__(self, grip: Grip) -> None:
        self._grip = grip
        self._helm = HelmWay(grip)

    def check(self, versions: Sequence[str]) -> None:
        """Refuse a release that cannot be found, values without translation, and a Helm that will not do."""
        check_versions(self._grip, versions)
        self._helm.check(versions[1:])

    def go(self, version: str) -> None:
        """Upgrade the release, and wait for the agents."""
        self._helm.upgrade(version)
        Rollout(self._grip, version).await_end()


class CommandWay:
    """A command of the user's own, whatever it does."""

    def __init__(self, grip: Grip, command: str) -> None:
        self._grip = grip
        self._command = command

    def check(self, versions: Sequence[str]) -> None:
        """Refuse unknown versions; what the command does is its author's to know."""
        check_versions(self._grip, versions)

    def go(self, version: str) -> None:
        """Run the command, and wait for the agents."""
        before = self._grip.config().version
        text = self._command.replace("{from}", before).replace("{to}", version)
        self._grip.progress(f"existing: Cilium {before} to {version}: {text}")
        limit = self._grip.spec.command_timeout
        done = run(
            ["/bin/sh", "-c", text],
            timeout=limit,
            also={"CILIUMWG_UPGRADE_FROM": before, "CILIUMWG_UPGRADE_TO": version},
        )
        if not done.ok:
            ended = f"with status {done.status}" if done.status is not None else f"after {limit:g} s, which is too long"
            said = [line.strip() for line in f"{done.output}\n{done.errors}".splitlines() if line.strip()]
            raise ProviderError(
                f"the command of --ciliumwg-upgrade-command ended {ended} on the way from Cilium {before} to "
                f"{version}: {' / '.join(said[-_LAST_LINES:]) or 'it said nothing'}"
            )
        Rollout(self._grip, version).await_end()


class ObservedWay:
    """Somebody else brings Cilium there; nothing is changed by us."""

    def __init__(self, grip: Grip, seconds: float) -> None:
        self._grip = grip
        self._seconds = seconds

    def check(self, versions: Sequence[str]) -> None:
        """Refuse unknown versions."""
        check_versions(self._grip, versions)

    def go(self, version: str) -> None:
        """Wait until it is there."""
        self._grip.progress(f"existing: watching for at most {self._seconds:g} s: bring Cilium to {version} now")
        Rollout(self._grip, version).await_end(self._seconds)
