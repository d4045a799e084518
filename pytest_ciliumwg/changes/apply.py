"""Make one change under a continuous watch, and restore the cluster, also after an error or Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_ciliumwg.changes.actions import OperationContext
from pytest_ciliumwg.changes.catalogue import Change, on
from pytest_ciliumwg.changes.convergence import Convergence, converge
from pytest_ciliumwg.changes.fingerprint import Fingerprint, fingerprint
from pytest_ciliumwg.changes.tolerance import Tolerance, tolerance
from pytest_ciliumwg.errors import CiliumwgError, ProviderError
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.timeline import Snapshot, Timeline
from pytest_ciliumwg.providers.base import Cluster, Progress, nodes_under_test, states_of
from pytest_ciliumwg.verdict.roaming import with_endpoints
from pytest_ciliumwg.watch.continuous import ContinuousWatch
from pytest_ciliumwg.watch.opening import continuous_watch

MARGIN_SECONDS = 1.0
"""How long the watch goes on before the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """A cluster at one moment."""

    snapshot: Snapshot
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All that was seen of a change."""

    timeline: Timeline
    tolerance: Tolerance
    before: ClusterState
    after: ClusterState | None
    """None where the cluster could not be looked at again."""
    convergence: Convergence
    unencrypted_drops: int | None = None
    """Packets that the hit node dropped meanwhile because they were not encrypted; None where nothing tells that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeResult:
    """A change that was made, or tried, and all that was seen meanwhile."""

    change: Change
    node: str
    """The node that it hit."""
    error: str = ""
    """Why it could not be made; empty when it was."""
    unavailable: bool = False
    """Whether this cluster cannot have it, by its nature."""
    watched: Observation | None = None
    """None when it was not even begun, or could not be watched."""
    back_to: ClusterState | None = None
    """How the cluster was before the earlier changes that this one undoes."""

    @property
    def away(self) -> frozenset[str]:
        """The node that was away on purpose, so that it could not be watched all the time."""
        return frozenset({self.node}) if self.watched and self.watched.tolerance.away else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """How a change is watched."""

    rate: float
    """Messages a second of each flow."""
    other_pods: bool = True
    others: int | None = None
    """Whether packets between other pods are looked at too, by their headers."""


def apply(
    cluster: Cluster, change: Change, node: str, expected: Expectations, progress: Progress, how: Watching
) -> ChangeResult:
    """Make a change while everything is watched.

    The cluster is restored on every exit, Ctrl-C included, unless a later change of the run restores it.

    Args:
        cluster: The cluster.
        change: The change.
        node: The node that it hits, where it hits one.
        expected: What holds before the change.
        progress: Told of every step.
        how: How it is watched.
    """
    return _ChangeRun(cluster, on(change, node), node, expected, progress, how).make()


class _ChangeRun:
    def __init__(
        self, cluster: Cluster, change: Change, node: str, expected: Expectations, progress: Progress, how: Watching
    ) -> None:
        self._cluster = cluster
        self._change = change
        self._node = node
        self._expected = expected
        self._progress = progress
        self._how = how

    def make(self) -> ChangeResult:
        try:
            if missing := [
                why for operation in self._change.operations if (why := self._cluster.operations.unavailable(operation))
            ]:
                return self._made(missing[0], unavailable=True)
            self._progress(f"change {self._change.name}: {self._change.does}")
            return self._watched()
        except CiliumwgError as error:
            return self._made(f"{error}{self._put_back()}")
        except BaseException:
            self._progress("putting back what was changed")
            if left := self._put_back():
                self._progress(left)
            raise

    def _put_back(self) -> str:
        """Restore the cluster; returns a clause on what could not be undone, empty when everything was."""
        try:
            self._cluster.operations.restore()
        except ProviderError as error:
            return f"; and it cannot be undone: {error}"
        return ""

    def _watched(self) -> ChangeResult:
        states = self._states()
        before = self._read(states)
        dropped_before = self._unencrypted_drops()
        port, how = self._expected.listen_port, self._how
        watch = continuous_watch(
            self._cluster,
            states,
            port,
            self._progress,
            rate=how.rate,
            other_pods=how.other_pods,
            others=how.others,
        )
        with watch:
            time.sleep(MARGIN_SECONDS)
            error = self._act(watch)
            if error:
                error += self._put_back()
            convergence = converge(self._cluster, watch, self._progress)
            timeline = watch.stop()
        after = self._states_again()
        if after is not None:
            timeline = with_endpoints(timeline, self._cluster.nodes(), states, after)
        watched = Observation(
            timeline=timeline,
            tolerance=tolerance(self._change, self._expected, timeline),
            before=before,
            after=self._read_again(after),
            convergence=convergence,
            unencrypted_drops=self._more_drops(dropped_before),
        )
        return self._made(error, watched=watched)

    def _act(self, watch: ContinuousWatch) -> str:
        context = OperationContext(
            operations=self._cluster.operations,
            node=self._node,
            nodes=nodes_under_test(self._cluster),
            note=watch.note,
            send_from=watch.send_from,
            progress=self._progress,
        )
        try:
            self._change.act(context)
        except CiliumwgError as error:
            return str(error)
        return ""

    def _unencrypted_drops(self) -> int | None:
        told = self._cluster.drops(self._node) if self._change.meets_strict_mode else None
        return None if told is None else told.unencrypted

    def _more_drops(self, before: int | None) -> int | None:
        after = self._unencrypted_drops()
        return None if before is None or after is None else after - before

    def _states_again(self) -> Mapping[str, NodeState] | None:
        try:
            return self._states()
        except ProviderError:
            return None  # what is wrong is on record as unsettled

    def _read_again(self, states: Mapping[str, NodeState] | None) -> ClusterState | None:
        try:
            return None if states is None else self._read(states)
        except ProviderError:
            return None

    def _states(self) -> Mapping[str, NodeState]:
        return states_of(self._cluster, nodes_under_test(self._cluster))

    def _read(self, states: Mapping[str, NodeState]) -> ClusterState:
        snapshot = self._cluster.snapshot()
        return ClusterState(snapshot=snapshot, fingerprint=fingerprint(self._cluster, snapshot, states))

    def _made(self, error: str, *, unavailable: bool = False, watched: Observation | None = None) -> ChangeResult:
        return ChangeResult(change=self._change, node=self._node, error=error, unavailable=unavailable, watched=watched)
