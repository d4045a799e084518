"""Bring Cilium to another version: with Helm, with a command of the user's, or by waiting for others to do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.existing.operations.context import ContainerContext
from pytest_ciliumwg.providers.existing.operations.release import HelmUpgrader
from pytest_ciliumwg.providers.existing.operations.rollout import Rollout
from pytest_ciliumwg.providers.existing.operations.upgrade_path import check_versions
from pytest_ciliumwg.providers.programs import run

_LAST_LINES = 5


class Upgrader(Protocol):
    """Brings Cilium to another version."""

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


def upgrader_of(context: ContainerContext) -> Upgrader:
    """The upgrader that the options ask for; Helm by default."""
    spec = context.spec
    if spec.upgrade_command is not None:
        return CommandUpgrader(context, spec.upgrade_command)
    if spec.observe_seconds is not None:
        return ObservedUpgrader(context, spec.observe_seconds)
    return HelmUpgrader(context)


class CommandUpgrader:
    """Upgrades with a shell command of the user's."""

    def __init__(self, context: ContainerContext, command: str) -> None:
        self._context = context
        self._command = command

    def check(self, versions: Sequence[str]) -> None:
        """Refuse unknown versions; the command itself cannot be checked."""
        check_versions(self._context, versions)

    def go(self, version: str) -> None:
        """Run the command, and wait for the agents."""
        before = self._context.config().version
        text = self._command.replace("{from}", before).replace("{to}", version)
        self._context.progress(f"existing: Cilium {before} to {version}: {text}")
        limit = self._context.spec.command_timeout
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
        Rollout(self._context, version).await_end()


class ObservedUpgrader:
    """Waits while others upgrade Cilium, and changes nothing itself."""

    def __init__(self, context: ContainerContext, seconds: float) -> None:
        self._context = context
        self._seconds = seconds

    def check(self, versions: Sequence[str]) -> None:
        """Refuse unknown versions."""
        check_versions(self._context, versions)

    def go(self, version: str) -> None:
        """Wait until every agent runs the version and is ready."""
        self._context.progress(f"existing: watching for at most {self._seconds:g} s: bring Cilium to {version} now")
        Rollout(self._context, version).await_end(self._seconds)
