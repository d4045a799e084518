"""Captures of the device `any` that tell of each frame which device it passed: Linux's second cooked format."""

from __future__ import annotations

from pytest_ciliumwg.providers.offline.captures.capture import Frames
from pytest_ciliumwg.providers.offline.captures.counting import FrameCounter

COOKED_OLD, COOKED = 113, 276
"""Link types: of the first format, which does not tell the device, and of the second."""
_HEADER = 20
_INDEX, _TYPE = slice(4, 8), 10
_TO_US, _OUTGOING = 0, 4
_NOBODY = bytes(12)
"""In place of Ethernet addresses, of which such a frame has at most one."""


class CookedCounter:
    """Counts the frames of each device."""

    def __init__(self) -> None:
        self.by_index: dict[int, FrameCounter] = {}
        """A device's number on its node → its frames."""

    def take(self, data: bytes, frames: Frames) -> None:
        """Count the frames of one chunk."""
        for start, captured, at in frames:
            head = data[start : start + _HEADER]
            if captured < _HEADER:
                continue
            index = int.from_bytes(head[_INDEX], "big")
            counter = self.by_index.get(index)
            if counter is None:
                counter = self.by_index[index] = FrameCounter(COOKED)
            counter.leaving += head[_TYPE] == _OUTGOING
            counter.arriving += head[_TYPE] == _TO_US
            frame = _NOBODY + head[:2] + data[start + _HEADER : start + captured]
            counter.take(frame, iter(((0, len(frame), at),)))
