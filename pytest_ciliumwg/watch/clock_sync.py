"""The nodes' clocks, measured against ours.

Two nodes' clocks are compared by control canaries: the capture at the sender and the capture at the receiver stamp the
same frame, each by its own clock. With frames in both directions the time on the wire cancels out, which is far better
than what a request through an API server can tell. One node's clock has to be compared with ours by requests; it is
the one whose answers are fastest.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

WINDOW_SECONDS = 60.0
"""Clocks drift and are stepped: what was measured longer ago than one to two windows counts no more."""

K = TypeVar("K", bound=Hashable)


class _Least(Generic[K]):
    """The least value of each key in the last one to two windows."""

    def __init__(self) -> None:
        self._windows: list[dict[K, tuple[float, float]]] = [{}, {}]
        self._since = 0.0

    def add(self, key: K, now: float, value: float, carried: float = 0.0) -> None:
        if now - self._since > WINDOW_SECONDS:
            self._windows = [{}, self._windows[0]] if now - self._since < 2 * WINDOW_SECONDS else [{}, {}]
            self._since = now
        known = self._windows[0].get(key)
        if known is None or value < known[0]:
            self._windows[0][key] = (value, carried)

    def get(self, key: K) -> tuple[float, float] | None:
        return min((window[key] for window in self._windows if key in window), default=None)


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a node's clock is ahead of ours, in seconds, and by how much that may be wrong."""

    ahead: float
    uncertainty: float


class Clocks:
    """All clocks, by node name; not thread-safe."""

    def __init__(self) -> None:
        self._requests: _Least[str] = _Least()
        self._frames: _Least[tuple[str, str]] = _Least()

    def answered(self, node: str, asked: float, told: float, received: float) -> None:
        """Take a request's times: our clock before and after it, and the node's clock in the answer."""
        ahead = told - (asked + received) / 2
        self._requests.add(node, received, (received - asked) / 2, ahead)

    def frame(self, now: float, sender: str, receiver: str, sent_at: float, received_at: float) -> None:
        """Take a frame's time stamps at both ends, each by its own clock."""
        self._frames.add((sender, receiver), now, received_at - sent_at)

    def offsets(self, nodes: Iterable[str]) -> dict[str, Offset]:
        """The offsets of the nodes of which anything is known."""
        direct = {node: found for node in nodes if (found := self._requests.get(node)) is not None}
        if not direct:
            return {}
        reference = min(direct, key=lambda node: direct[node][0])
        doubt, ahead = direct[reference]
        offsets = {reference: Offset(ahead, doubt)}
        for node, (own_doubt, own_ahead) in direct.items():
            there, back = self._frames.get((reference, node)), self._frames.get((node, reference))
            if node != reference and there is not None and back is not None:
                offsets[node] = Offset(ahead + (there[0] - back[0]) / 2, doubt + abs(there[0] + back[0]) / 2)
            elif node != reference:
                offsets[node] = Offset(own_ahead, own_doubt)
        return offsets
