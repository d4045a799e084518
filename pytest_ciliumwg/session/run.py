"""The cluster's life in one run: made, announced, brought from stage to stage, put back, taken down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pytest_ciliumwg.changes.apply import ChangeResult, ClusterState, Watching, apply
from pytest_ciliumwg.changes.catalogue import Change
from pytest_ciliumwg.checks.verify import InconclusiveError
from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.providers.base import Cluster, nodes_under_test
from pytest_ciliumwg.report.record import RunRecord
from pytest_ciliumwg.session.opening import open_cluster
from pytest_ciliumwg.session.progress import ProgressLines
from pytest_ciliumwg.session.stages import Stage, announcement, hit_node, version_path


class ClusterRun:
    """One cluster under test, and the changes that were made to it."""

    def __init__(self, config: pytest.Config, settings: Settings, stages: Sequence[Stage], record: RunRecord) -> None:
        self.cluster: Cluster | None = None
        self.made: dict[str, ChangeResult] = {}
        """Stage → the change that led to it."""
        self.kept: str | None = None
        """How to enter and remove a cluster that was kept."""
        self._config = config
        self._settings = settings
        self._stages = stages
        self._record = record
        self._progress: ProgressLines | None = None
        self._hit = ""
        """The node that changes hit."""

    @contextmanager
    def standing_cluster(self) -> Iterator[None]:
        """The cluster, made or connected to, until the last check has run.

        Raises:
            pytest.UsageError: it cannot be had, or not be put back as it was.
        """
        try:
            self.cluster = open_cluster(self._config.hook, self._settings, self.progress)
        except ProviderError as error:
            # pytest prints a usage error as the one sentence that it is, and exits with 4.
            raise pytest.UsageError(str(error)) from None
        try:
            self._announce(self.cluster)
            yield
        finally:
            self._leave(self.cluster)

    def _leave(self, cluster: Cluster) -> None:
        """Put back what was changed, then take down what was made, or keep it."""
        try:
            if any(stage.change for stage in self._stages):
                cluster.operations.restore()
        except ProviderError as error:
            raise pytest.UsageError(f"the cluster is not as it was: {error}") from None
        finally:
            if self._settings.keep:
                self.kept = cluster.keep()
            cluster.close()

    def _announce(self, cluster: Cluster) -> None:
        """Say what the cluster is, and what will be done to it, before anything is."""
        try:
            self._record.describe(cluster)
            for line in self._record.description:
                self.progress(line)
            self._hit = hit_node(nodes_under_test(cluster))
            for line in announcement(self._settings, self._hit):
                self.progress(line)
            if self._settings.upgrade:
                cluster.operations.check_upgrade(version_path(self._settings))
        except ProviderError as error:
            raise pytest.UsageError(str(error)) from None

    def enter(self, stage: Stage) -> None:
        """Bring the cluster into a stage, by the change that leads to it.

        Raises:
            InconclusiveError: an earlier upgrade was not done, or the stages do not come in their order.
        """
        assert self.cluster is not None  # noqa: S101 - it stands before the first check runs
        if stage.change is None:
            if self.made:
                raise InconclusiveError("the cluster was changed already, and cannot be seen as it was at first")
            return
        if stage.name in self.made:
            if stage.name != next(reversed(self.made)):
                raise InconclusiveError(f"the run has gone past the stage {stage.name}: let tests keep their order")
            return
        self.made[stage.name] = made = self._make(self.cluster, stage.change)
        self._record.changes.append(made)

    def _make(self, cluster: Cluster, change: Change) -> ChangeResult:
        failed = [made for made in self.made.values() if made.error and made.change.version]
        if failed and change.version:
            why = f"{failed[0].change.name} was not done: {failed[0].error}"
            return ChangeResult(change=change, node=self._hit, error=why)
        expected = expectations_for(cluster.declared)
        asked = self._settings
        how = Watching(rate=asked.rate, other_pods=asked.other_pods != "off", others=asked.pairs)
        made = apply(cluster, change, self._hit, expected, self.progress, how)
        made = replace(made, back_to=self._before_first_of(change.compared_with))
        other_version = cluster.declared.version != expected.config.version
        return self._with_new_pods(cluster, made) if other_version and not made.error else made

    def _before_first_of(self, changes: Sequence[str]) -> ClusterState | None:
        """How the cluster was before the first of these changes; None where none of them was made, or watched."""
        first = next((made for made in self.made.values() if made.change.name in changes), None)
        return first.watched.before if first and first.watched else None

    @staticmethod
    def _with_new_pods(cluster: Cluster, made: ChangeResult) -> ChangeResult:
        """Recreate the test pods after an upgrade: a version's settings hold for pods that were created under it."""
        try:
            cluster.operations.renew_pods()
        except ProviderError as error:
            return replace(made, error=f"the test pods could not be made anew: {error}")
        return made

    def progress(self, line: str) -> None:
        """Show one line at once, also while pytest captures output."""
        if self._progress is None:
            terminal = self.reporter is not None and self.reporter.isatty
            width = self._config.get_terminal_writer().fullwidth if terminal else None
            self._progress = ProgressLines(self.raw, width)
        self._progress(line)

    def raw(self, line: str) -> None:
        """Show one line as it is."""
        reporter = self.reporter
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if reporter is None:
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            # Under `-q` pytest itself does not know that its line of dots is still open.
            reporter.write_line(f"\n{line}" if self._config.get_terminal_writer().width_of_current_line else line)

    @property
    def reporter(self) -> Any:
        """Pytest's terminal reporter; None where it is switched off."""
        return self._config.pluginmanager.getplugin("terminalreporter")
