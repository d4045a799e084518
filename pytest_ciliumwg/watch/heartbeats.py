"""Heartbeats, control canaries sent all the time: they prove what a watch would have seen, and when it was deaf.

Every node sends a numbered control canary at a steady pace, and every watch logs those that it sees: its own as they
leave, the others' as they arrive. Where a number is missing the watch was deaf. A heartbeat that comes late proves
nothing against it: on a busy node the sender had to wait, while the kernel went on capturing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_ciliumwg.model.timeline import BlindInterval
from pytest_ciliumwg.watch.clock_sync import Clocks

_Direction = tuple[str, str, str]
"""Watch, sender, and the device on which a watch sees its own heartbeats; those of others may arrive on any: ''."""
LONGEST_PAUSE = 10.0
"""Seconds between two heartbeats, however busy a node is; more is a gap whatever their numbers."""
REMEMBERED = 64
"""Heartbeats of each node that may still be on their way."""


class Heartbeats:
    """All heartbeats of a watch, in bounded memory. Not thread-safe."""

    def __init__(self, nodes: Sequence[str], clocks: Clocks, longest_pause: float = LONGEST_PAUSE) -> None:
        self._nodes = nodes
        self._clocks = clocks
        self._longest_pause = longest_pause
        self._sent: dict[str, dict[int, float]] = {node: {} for node in nodes}
        """Sender → number → when it left, on the sender's clock."""
        self._arrived: dict[tuple[str, str], dict[int, float]] = {}
        """(Sender, receiver) → number → when it arrived, on the receiver's clock."""
        self._last: dict[_Direction, tuple[int, float]] = {}
        """The last heartbeat of each direction, and when it was, on our clock."""
        self._gaps: list[tuple[_Direction, float, float]] = []

    def add(self, watcher: str, entry: Mapping[str, Any], ours: float) -> None:
        """Take note that a watch saw a heartbeat; `ours` is when, on our clock."""
        if entry["node"] >= len(self._nodes):
            return
        sender = self._nodes[entry["node"]]
        own = sender == watcher
        if own != entry["outgoing"]:
            return  # a broadcast that came back, or was forwarded
        number, at = entry["number"], entry["at"]
        # One that is lost on the way is the network's; that a watch does not see its own is the watch's.
        self._note_gap((watcher, sender, entry["device"] if own else ""), number, ours, missing=0 if own else 1)
        _remember(self._sent[sender] if own else self._arrived.setdefault((sender, watcher), {}), number, at)
        receivers = [node for node in self._nodes if node != sender] if own else [watcher]
        for receiver in receivers:
            sent, arrived = self._sent[sender].get(number), self._arrived.get((sender, receiver), {}).get(number)
            if sent is not None and arrived is not None:
                self._clocks.frame(ours, sender, receiver, sent, arrived)

    def _note_gap(self, way: _Direction, number: int, ours: float, *, missing: int) -> None:
        known, before = self._last.get(way, (number, ours))
        if number < known or (number == known and way in self._last):
            return  # a second copy of it, on another device
        self._last[way] = (number, ours)
        if number - known > 1 + missing or ours - before > self._longest_pause:
            self._gaps.append((way, before, ours))

    def heard(self, watcher: str, devices: Sequence[str]) -> bool:
        """Whether a watch has seen its own heartbeats on all devices, and those of all others."""
        own = all((watcher, watcher, device) in self._last for device in devices)
        return own and all((watcher, node, "") in self._last for node in self._nodes if node != watcher)

    def deaf(self, devices: Mapping[str, Sequence[str]], started: float, stopped: float) -> Iterator[BlindInterval]:
        """When which watch was deaf between two times of our clock.

        That one node does not hear another counts only while the other's own watch saw that it sent.
        """
        own = {node: list(self._own_gaps(node, devices[node], started, stopped)) for node in devices}
        for node in devices:
            yield from own[node]
            for sender in devices:
                if sender != node:
                    silences = [(silence.first_at, silence.last_at) for silence in (*own[sender], *own[node])]
                    for first, last in self._gaps_of((node, sender, ""), started, stopped):
                        if not any(a < last and first < b for a, b in silences):
                            why = f"it did not hear the control canaries of {sender}"
                            yield BlindInterval(node=node, first_at=first, last_at=last, why=why, unheard=sender)

    def _own_gaps(self, node: str, devices: Sequence[str], started: float, stopped: float) -> Iterator[BlindInterval]:
        for device in devices:
            # An agent that ends its watch sends a last heartbeat, so that here lateness is no excuse.
            for first, last in self._gaps_of((node, node, device), started, stopped, late=0.0):
                why = f"it did not see its own control canaries on {device}"
                yield BlindInterval(node=node, first_at=first, last_at=last, why=why)

    def _gaps_of(
        self, key: _Direction, started: float, stopped: float, late: float | None = None
    ) -> Iterator[tuple[float, float]]:
        found = [(first, last) for way, first, last in self._gaps if way == key]
        end = self._last[key][1] if key in self._last else started
        if stopped - end > (self._longest_pause if late is None else late):
            found.append((end, stopped))
        yield from ((max(first, started), last) for first, last in found if last > started and first < stopped)


def _remember(known: dict[int, float], number: int, at: float) -> None:
    known.setdefault(number, at)
    while len(known) > REMEMBERED:
        del known[next(iter(known))]
