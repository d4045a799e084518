"""Making one change under a continuous watch, and putting everything back whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_ciliumwg.changes.actions import Hands
from pytest_ciliumwg.changes.catalogue import Change, on
from pytest_ciliumwg.changes.footprint import Footprint, footprint, not_ready, stale_peers
from pytest_ciliumwg.changes.tolerance import Tolerance, tolerance
from pytest_ciliumwg.errors import CiliumwgError, ProviderError
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.lasting.followers import PATIENCE
from pytest_ciliumwg.lasting.watch import LastingWatch
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.timeline import Snapshot, Timeline
from pytest_ciliumwg.providers.base import Cluster, Progress, states_of

MARGIN_SECONDS = 1.0
"""How long the watch goes on before the change."""
SETTLE_FACTOR = 3
"""A cluster has three times as long as usual to settle after a change; nobody promises a limit."""
_PAUSE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A cluster at one moment."""

    snapshot: Snapshot
    footprint: Footprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """Whether a cluster came to rest after a change."""

    after: float | None
    """Seconds from the end of the change until the cluster was as it has to be; None: it never was."""
    limit: float
    """How many seconds it had."""
    wrong: tuple[str, ...]
    """What was still wrong when the time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """All that was seen of a change."""

    timeline: Timeline
    tolerance: Tolerance
    before: Look
    after: Look | None
    """None where the cluster could not be looked at again."""
    settling: Settling


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A change that was made, or tried, and all that was seen meanwhile."""

    change: Change
    node: str
    """The node that it hit."""
    error: str = ""
    """Why it could not be made; empty when it was."""
    unavailable: bool = False
    """Whether this cluster cannot have it, by its nature."""
    watched: Watched | None = None
    """None when it was not even begun, or could not be watched."""
    back_to: Look | None = None
    """How the cluster was before the earlier changes that this one undoes."""


def perform(
    cluster: Cluster, change: Change, node: str, expected: Expectations, progress: Progress, rate: float
) -> Made:
    """Make a change while everything is watched.

    Whatever ends it, Ctrl-C included, the cluster is put back as it was, unless a later change of the run does that.

    Args:
        cluster: The cluster.
        change: The change.
        node: The node that it hits, where it hits one.
        expected: What holds before the change.
        progress: Told of every step.
        rate: Messages a second of each flow.
    """
    return _Performance(cluster, on(change, node), node, expected, progress, rate).make()


class _Performance:
    def __init__(
        self, cluster: Cluster, change: Change, node: str, expected: Expectations, progress: Progress, rate: float
    ) -> None:
        self._cluster = cluster
        self._change = change
        self._node = node
        self._expected = expected
        self._progress = progress
        self._rate = rate

    def make(self) -> Made:
        try:
            if missing := [why for lever in self._change.levers if (why := self._cluster.levers.unavailable(lever))]:
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
        """Undo what is not undone; says what could not be, for the end of another sentence."""
        try:
            self._cluster.levers.restore()
        except ProviderError as error:
            return f"; and it cannot be undone: {error}"
        return ""

    def _watched(self) -> Made:
        states = self._states()
        devices = {name: [link.name for link in state.native_devices] for name, state in states.items()}
        before = self._look(states)
        watch = LastingWatch(self._cluster, devices, self._expected.listen_port, self._progress, rate=self._rate)
        with watch:
            time.sleep(MARGIN_SECONDS)
            error = self._act(watch)
            if error:
                error += self._put_back()
            settling = self._settle(watch)
            timeline = watch.stop()
        watched = Watched(
            timeline=timeline,
            tolerance=tolerance(self._change, self._expected, timeline),
            before=before,
            after=self._look_again(),
            settling=settling,
        )
        return self._made(error, watched=watched)

    def _act(self, watch: LastingWatch) -> str:
        hands = Hands(
            levers=self._cluster.levers,
            node=self._node,
            nodes=self._nodes(),
            note=watch.note,
            send_from=watch.send_from,
        )
        try:
            self._change.act(hands)
        except CiliumwgError as error:
            return str(error)
        return ""

    def _settle(self, watch: LastingWatch) -> Settling:
        """Wait until the cluster is as it has to be, every flow is answered again, and both last."""
        limit = SETTLE_FACTOR * self._cluster.settle_seconds
        began = time.monotonic()
        while True:
            wrong = self._wrong(watch)
            looked = time.monotonic()
            wrong = wrong or self._wrong_soon(watch)
            if not wrong:
                return Settling(after=looked - began, limit=limit, wrong=())
            if time.monotonic() - began > limit:
                everything = dict.fromkeys((*self._wrong_inside(), *self._wrong_outside(watch)))
                return Settling(after=None, limit=limit, wrong=tuple(everything) or (wrong,))
            time.sleep(_PAUSE)

    def _wrong_soon(self, watch: LastingWatch) -> str:
        """What goes wrong again in the time after which a lost message shows; empty for nothing."""
        end = time.monotonic() + PATIENCE + watch.poll_seconds + _PAUSE
        while time.monotonic() < end:
            time.sleep(_PAUSE)
            if wrong := next(self._wrong_outside(watch), ""):
                return wrong
        return self._wrong(watch)

    def _wrong(self, watch: LastingWatch) -> str:
        """One thing that is not as it has to be; empty for nothing."""
        return next(self._wrong_outside(watch), "") or next(self._wrong_inside(), "")

    def _wrong_outside(self, watch: LastingWatch) -> Iterator[str]:
        """What the watch sees: no node is asked for it."""
        try:
            yield from watch.troubles(self._nodes())
        except ProviderError as error:
            yield str(error)

    def _wrong_inside(self) -> Iterator[str]:
        """What the cluster and its nodes show: the latter takes commands on each of them."""
        try:
            yield from not_ready(self._cluster.snapshot(), self._nodes())
            yield from stale_peers(self._cluster.nodes(), self._states())
        except ProviderError as error:
            yield str(error)

    def _look_again(self) -> Look | None:
        try:
            return self._look(self._states())
        except ProviderError:
            return None  # what is wrong is on record as unsettled

    def _nodes(self) -> list[str]:
        return [pod.node for pod in self._cluster.test_pods()]

    def _states(self) -> Mapping[str, NodeState]:
        return states_of(self._cluster, self._nodes())

    def _look(self, states: Mapping[str, NodeState]) -> Look:
        snapshot = self._cluster.snapshot()
        return Look(snapshot=snapshot, footprint=footprint(self._cluster, snapshot, states))

    def _made(self, error: str, *, unavailable: bool = False, watched: Watched | None = None) -> Made:
        return Made(change=self._change, node=self._node, error=error, unavailable=unavailable, watched=watched)
