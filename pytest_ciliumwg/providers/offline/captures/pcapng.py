"""The newer format of captures, pcapng: block by block."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from pytest_ciliumwg.agent.capture.headers import PROGRAM
from pytest_ciliumwg.providers.offline.captures.capture import LONGEST, Capture, Frames, Interface, Take
from pytest_ciliumwg.providers.offline.captures.chunks import Chunks

SECTION = b"\x0a\x0d\x0d\x0a"
"""How one begins, whatever the order of its bytes."""
_INTERFACE, _PACKET, _STATISTICS, _ENHANCED, _SIMPLE = 1, 2, 5, 6, 3
_IF_NAME, _IF_TSRESOL, _IF_FILTER = 2, 9, 11
_PROGRAM = 4
_ISB_RECEIVED, _ISB_DROPPED, _ISB_DROPPED_BY_SYSTEM = 4, 5, 7
_LITTLE = b"\x4d\x3c\x2b\x1a"
_LEAST = 12
"""Bytes of a block without content."""
_AROUND = 32
"""Bytes of a frame's block around the frame."""


def read_pcapng(capture: Capture, chunks: Chunks, taker: Callable[[Interface], Take]) -> None:
    """Read all blocks; frames of one interface that follow each other are handed over together.

    Raises:
        OSError: what is there is no block.
    """
    reader = _Reader(capture, chunks, taker)
    while chunks.has(_LEAST) and reader.next_blocks():
        pass
    if chunks.left:
        capture.problem = "ends within a block, so it was cut off: what is in front of that was read"


class _Reader:
    """Reads the blocks of one file."""

    def __init__(self, capture: Capture, chunks: Chunks, taker: Callable[[Interface], Take]) -> None:
        self._capture, self._chunks, self._taker = capture, chunks, taker
        self._order = "<"
        self._first = 0
        """The section's first interface."""
        self._takes: list[Take] = []
        self._scales: list[float] = []

    def next_blocks(self) -> bool:
        """Read a run of frames of one interface, or one other block; false where the file ends within it."""
        chunks, order = self._chunks, self._order
        if chunks.data[chunks.at : chunks.at + 4] == SECTION:
            order = self._order = "<" if chunks.data[chunks.at + 8 : chunks.at + 12] == _LITTLE else ">"
        kind, size, number = struct.unpack_from(f"{order}III", chunks.data, chunks.at)
        if size < _LEAST or size > LONGEST + 4096:
            raise OSError(f"a block of {size} bytes")
        if not chunks.has(size):
            return False
        if kind == _ENHANCED:
            self._frames(number)
        else:
            self._other(kind, size)
            chunks.at += size
        return True

    def _frames(self, number: int) -> None:
        index = self._first + number
        if index >= len(self._takes):
            raise OSError("a frame of an interface that it does not describe")
        before = self._chunks.at
        self._takes[index](self._chunks.data, self._run(number, self._scales[index]))
        if self._chunks.at == before:
            raise OSError("a frame that is longer than its block")

    def _run(self, wanted: int, scale: float) -> Frames:
        """The whole frames of one interface that follow each other in the window."""
        chunks = self._chunks
        unpack, data, at = struct.Struct(f"{self._order}IIIIII").unpack_from, chunks.data, chunks.at
        end = len(data)
        last = end - _AROUND
        while at <= last:
            kind, size, number, high, low, captured = unpack(data, at)
            if kind != _ENHANCED or number != wanted or at + size > end or captured > size - _AROUND:
                break
            yield at + 28, captured, ((high << 32) | low) * scale
            at += size
        chunks.at = at

    def _other(self, kind: int, size: int) -> None:
        chunks, order = self._chunks, self._order
        data, at = chunks.data, chunks.at
        if data[at : at + 4] == SECTION:
            self._first = len(self._takes)
            told = dict(_options(data, at + 24, at + size - 4, order))
            ours = told.get(_PROGRAM, b"").rstrip(b"\0") == PROGRAM
            self._capture.unfiltered = ours and (self._capture.unfiltered or not self._first)
        elif kind == _INTERFACE:
            interface, scale = _interface(data, at, size, order)
            self._capture.interfaces.append(interface)
            self._scales.append(scale)
            self._takes.append(self._taker(interface))
        elif kind == _STATISTICS:
            _statistics(self._capture, self._first, data, at, size, order)
        elif kind == _SIMPLE:
            self._capture.problem = "holds frames without a time, which were left out"
        elif kind == _PACKET:
            self._capture.problem = "holds frames in blocks of an obsolete kind, which were left out: write it anew"


def _interface(data: bytes, at: int, size: int, order: str) -> tuple[Interface, float]:
    link_type, _, snaplen = struct.unpack_from(f"{order}HHI", data, at + 8)
    interface, scale = Interface(link_type, snaplen), 1e-6
    for code, value in _options(data, at + 16, at + size - 4, order):
        if code == _IF_NAME:
            interface.name = value.decode("utf-8", "replace").rstrip("\0")
        elif code == _IF_FILTER:
            interface.filtered = bool(value[1:].strip(b"\0 "))
        elif code == _IF_TSRESOL and value:
            scale = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -value[0]
    return interface, scale


def _statistics(capture: Capture, first: int, data: bytes, at: int, size: int, order: str) -> None:
    index = first + struct.unpack_from(f"{order}I", data, at + 8)[0]
    if index >= len(capture.interfaces):
        return
    told = dict(_options(data, at + 20, at + size - 4, order))
    numbers = {code: struct.unpack(f"{order}Q", value)[0] for code, value in told.items() if len(value) == 8}
    dropped = [numbers[code] for code in (_ISB_DROPPED, _ISB_DROPPED_BY_SYSTEM) if code in numbers]
    if dropped:
        capture.interfaces[index].drops = sum(dropped)
    if _ISB_RECEIVED in numbers:
        capture.interfaces[index].received = numbers[_ISB_RECEIVED]


def _options(data: bytes, at: int, end: int, order: str) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= end:
        code, length = struct.unpack_from(f"{order}HH", data, at)
        if code == 0:
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
