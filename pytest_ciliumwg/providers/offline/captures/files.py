"""The formats of captures: pcap, with nanoseconds or without, pcapng, and either behind gzip; read as a stream."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, cast

CAPTURE_NAME = re.compile(r".+\.(?:pcap|pcapng|cap|dmp)(?:\.gz)?", re.IGNORECASE)
CHUNK = 4 << 20
MOST_BYTES = 64 << 30
_LONGEST = 1 << 20
"""Of a frame: longer than any device carries, also with segments merged."""
_PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_SECTION, _INTERFACE, _STATISTICS, _ENHANCED, _SIMPLE = 0x0A0D0D0A, 1, 5, 6, 3
_IF_NAME, _IF_TSRESOL = 2, 9
_ISB_RECEIVED, _ISB_DROPPED = 4, 5
ETHERNET = 1

Frames = Iterator[tuple[int, int, float]]
"""Where a frame begins in the chunk, how much of it is there, and when it passed."""
Take = Callable[[bytes, Frames], None]
"""Takes the frames of one chunk."""


@dataclass(slots=True)
class Interface:
    """One interface of a capture, as its file tells of it."""

    link_type: int
    snaplen: int
    name: str = ""
    """Empty where the file does not tell it, as pcap does not."""
    drops: int | None = None
    """None where the file does not tell it."""
    received: int | None = None


@dataclass(slots=True)
class Capture:
    """One file, once it was read."""

    name: str
    interfaces: list[Interface] = field(default_factory=list)
    problem: str = ""
    """What is wrong with it, in a clause; empty where nothing is."""


def read_capture(name: str, stream: IO[bytes], taker: Callable[[Interface], Take]) -> Capture:
    """Read a capture to its end; `taker` makes for each interface what takes its frames.

    A file that is cut off is read as far as it goes.
    """
    capture = Capture(name)
    try:
        _read(capture, _Chunks(_plain(stream)), taker)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        capture.problem = capture.problem or f"is damaged ({error}), and was read as far as that"
    return capture


def _plain(stream: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """The first bytes and the rest, behind gzip where it is that."""
    head = stream.read(4)
    if head[:2] != b"\x1f\x8b":
        return head, stream
    unzipped = gzip.GzipFile(fileobj=_Joined(head, stream), mode="rb")
    return unzipped.read(4), cast("IO[bytes]", unzipped)


class _Joined(io.RawIOBase):
    """A stream of which the beginning was read already."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._rest.read(size)
        size = len(self._head) if size < 0 else size
        head, self._head = self._head[:size], self._head[size:]
        return head


class _Chunks:
    """A stream as a window of bytes that moves on."""

    def __init__(self, opened: tuple[bytes, IO[bytes]]) -> None:
        self.data, self._stream = opened
        self.at = 0
        self.ended = False
        self._left = MOST_BYTES

    def fill(self) -> bool:
        """Forget what was read, and read on; false at the end."""
        more = self._stream.read(CHUNK)
        self._left -= len(more)
        if self._left < 0:
            raise OSError("it grows without bounds")
        self.data, self.at = self.data[self.at :] + more, 0
        self.ended = not more
        return bool(more)

    def has(self, size: int) -> bool:
        """Whether so many bytes are there, after reading on if need be."""
        while len(self.data) - self.at < size and not self.ended:
            self.fill()
        return len(self.data) - self.at >= size

    @property
    def left(self) -> int:
        return len(self.data) - self.at


def _read(capture: Capture, chunks: _Chunks, taker: Callable[[Interface], Take]) -> None:
    if not chunks.has(4):
        capture.problem = "is empty" if not chunks.left else "is no capture"
    elif chunks.data[:4] in _PCAP:
        _pcap(capture, chunks, taker)
    elif chunks.data[:4] == b"\x0a\x0d\x0d\x0a":
        _pcapng(capture, chunks, taker)
    else:
        capture.problem = "is no capture: it begins neither as pcap nor as pcapng does"


def _pcap(capture: Capture, chunks: _Chunks, taker: Callable[[Interface], Take]) -> None:
    order, scale = _PCAP[chunks.data[:4]]
    if not chunks.has(24):
        capture.problem = "ends within its header"
        return
    snaplen, link_type = struct.unpack_from(f"{order}II", chunks.data, 16)
    interface = Interface(link_type & 0xFFFF, snaplen)
    capture.interfaces.append(interface)
    take = taker(interface)
    chunks.at = 24
    record = struct.Struct(f"{order}IIII")
    while chunks.left >= 16 or chunks.fill():
        before = chunks.at
        take(chunks.data, _records(chunks, record, scale))
        if chunks.at == before and not chunks.fill():
            break
    if chunks.left:
        capture.problem = "ends within a frame, so it was cut off: what is in front of that was read"


def _records(chunks: _Chunks, record: struct.Struct, scale: float) -> Frames:
    """The whole records of the chunk."""
    unpack, data, end, at = record.unpack_from, chunks.data, len(chunks.data) - 16, chunks.at
    last = len(data)
    while at <= end:
        seconds, fraction, captured, _ = unpack(data, at)
        start = at + 16
        if captured > _LONGEST:
            raise OSError(f"a frame of {captured} bytes")
        if start + captured > last:
            break
        at = start + captured
        yield start, captured, seconds + fraction * scale
    chunks.at = at


def _pcapng(capture: Capture, chunks: _Chunks, taker: Callable[[Interface], Take]) -> None:
    """Block by block; frames of one interface that follow each other are handed over together."""
    order, first = "<", 0
    takes: list[Take] = []
    scales: list[float] = []
    pending: list[tuple[int, int, float]] = []
    whose = 0

    def hand_over() -> None:
        if pending:
            takes[whose](chunks.data, iter(pending))
            pending.clear()

    while True:
        if chunks.left < 12:
            hand_over()
            if not chunks.has(12):
                break
        if chunks.data[chunks.at : chunks.at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if chunks.data[chunks.at + 8 : chunks.at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            first = len(takes)
        kind, size = struct.unpack_from(f"{order}II", chunks.data, chunks.at)
        if size < 12 or size > _LONGEST + 4096:
            raise OSError(f"a block of {size} bytes")
        if chunks.left < size:
            hand_over()
            if not chunks.has(size):
                break
        at = chunks.at
        if kind == _ENHANCED:
            number, high, low, captured, _ = struct.unpack_from(f"{order}IIIII", chunks.data, at + 8)
            index = first + number
            if index >= len(takes) or captured > size - 32:
                raise OSError("a frame of an interface that it does not describe")
            if index != whose:
                hand_over()
                whose = index
            pending.append((at + 28, captured, ((high << 32) | low) * scales[index]))
        elif kind == _INTERFACE:
            hand_over()
            interface, scale = _interface(chunks.data, at, size, order)
            capture.interfaces.append(interface)
            scales.append(scale)
            takes.append(taker(interface))
        elif kind == _STATISTICS:
            _statistics(capture, first, chunks.data, at, size, order)
        elif kind == _SIMPLE:
            capture.problem = "holds frames without a time, which were left out"
        chunks.at = at + size
    if chunks.left:
        capture.problem = "ends within a block, so it was cut off: what is in front of that was read"


def _interface(data: bytes, at: int, size: int, order: str) -> tuple[Interface, float]:
    link_type, _, snaplen = struct.unpack_from(f"{order}HHI", data, at + 8)
    interface, scale = Interface(link_type, snaplen), 1e-6
    for code, value in _options(data, at + 16, at + size - 4, order):
        if code == _IF_NAME:
            interface.name = value.decode("utf-8", "replace").rstrip("\0")
        elif code == _IF_TSRESOL and value:
            scale = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -value[0]
    return interface, scale


def _statistics(capture: Capture, first: int, data: bytes, at: int, size: int, order: str) -> None:
    index = first + struct.unpack_from(f"{order}I", data, at + 8)[0]
    if index >= len(capture.interfaces):
        return
    for code, value in _options(data, at + 20, at + size - 4, order):
        if code in (_ISB_RECEIVED, _ISB_DROPPED) and len(value) == 8:
            number = struct.unpack(f"{order}Q", value)[0]
            if code == _ISB_DROPPED:
                capture.interfaces[index].drops = number
            else:
                capture.interfaces[index].received = number


def _options(data: bytes, at: int, end: int, order: str) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= end:
        code, length = struct.unpack_from(f"{order}HH", data, at)
        if code == 0:
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
