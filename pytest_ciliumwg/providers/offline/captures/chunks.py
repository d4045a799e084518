"""A capture's bytes as a window that moves on, also out of gzip."""

from __future__ import annotations

import gzip
import io
from typing import IO, cast

CHUNK = 4 << 20
MOST_BYTES = 64 << 30
"""Of one capture, unpacked."""


def plain(stream: IO[bytes]) -> tuple[bytes, IO[bytes]]:
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


class Chunks:
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
        """How many bytes are there and not read yet."""
        return len(self.data) - self.at
