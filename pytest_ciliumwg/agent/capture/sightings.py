"""Frames of ours seen in cleartext: what they are counted by, and the evidence that is kept of them."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from ..log import Log
from .frames import Hit
from .layers import describe
from .ring import Frame

GAP_SECONDS = 0.25
"""Frames that follow each other within this time are one interval."""
LONGEST_SECONDS = 5.0
"""A long interval is logged in pieces of so many seconds, so that a leak is known while it goes on."""
_SETTLE_SECONDS = 0.25
"""A frame is read at most so long after the kernel saw it: the time until its block is handed over and read."""
_MOST_OPEN = 4096
_FRAMES, _BYTES = 2, 512


class Key(NamedTuple):
    """What sightings are counted by."""

    flow: int
    mark: int
    how: str
    device: str
    outgoing: bool


class Seen:
    """Frames of one key; the first of them are kept as evidence, cut to a number of bytes."""

    def __init__(self, at: float, layers: str, most_frames: int, most_bytes: int) -> None:
        self.count = 0
        self.first = self.last = at
        self.layers = layers
        self.frames: list[tuple[float, bytes, int]] = []
        self._most_frames, self._most_bytes = most_frames, most_bytes

    def add(self, at: float, data: bytes, length: int) -> None:
        """Count a frame of `length` bytes on the wire."""
        self.count += 1
        self.last = max(self.last, at)
        if len(self.frames) < self._most_frames:
            self.frames.append((at, data[: self._most_bytes], length))

    def row(self, key: Key) -> dict[str, Any]:
        """`{flow, mark, how, device, outgoing, count, first, last, layers, frames: [[at, base64, length]]}`."""
        row: dict[str, Any] = dict(key._asdict())
        row.update(count=self.count, first=self.first, last=self.last, layers=self.layers)
        row["frames"] = [[at, base64.b64encode(data).decode(), length] for at, data, length in self.frames]
        return row


class Intervals:
    """Sightings in time: logs an entry `sighting` for each interval when it is over.

    Times are the kernel's. The number of open intervals is bounded.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._open: dict[Key, Seen] = {}

    def add(self, key: Key, frame: Frame, data: bytes) -> None:
        """Put one frame into its interval."""
        seen = self._open.get(key)
        if seen is not None and _apart(seen, frame.seconds):
            self._close(key)
            seen = None
        if seen is None:
            if len(self._open) >= _MOST_OPEN:
                self.close()
            seen = self._open[key] = Seen(frame.seconds, describe(data, frame.vlan), _FRAMES, _BYTES)
        seen.add(frame.seconds, data, frame.length)

    def close(self, quiet_at: float | None = None) -> None:
        """Log the intervals that are over at that time of the clock (None: all)."""
        for key, seen in list(self._open.items()):
            if quiet_at is None or abs(quiet_at - seen.last) > GAP_SECONDS + _SETTLE_SECONDS:
                self._close(key)

    def _close(self, key: Key) -> None:
        self._log.add(dict(self._open.pop(key).row(key), kind="sighting"))


def _apart(seen: Seen, at: float) -> bool:
    """Whether a frame begins a new interval; also when the clock was set back."""
    return at - seen.last > GAP_SECONDS or abs(at - seen.first) >= LONGEST_SECONDS


def key_of(hit: Hit, device: str, frame: Frame) -> Key:
    """Where a hit counts."""
    return Key(hit.flow, hit.mark, hit.how, device, frame.outgoing)
