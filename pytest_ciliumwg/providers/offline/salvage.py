"""Read the entries of a zip file that is cut off: without its directory, which is at the end."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import IO

_ENTRY = b"PK\x03\x04"
_HEADER = struct.Struct("<4sHHHHHIIIHH")
_STORED, _DEFLATED = 0, 8
_CHUNK = 1 << 16
_MOST = 256 << 20
"""Bytes of one entry, unpacked; more is no file of a sysdump."""
_DESCRIPTOR = 24
"""Bytes that may be between an entry's data and the next entry at most."""


def salvaged(stream: IO[bytes]) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """The entries one after the other, as far as they are whole."""
    stream.seek(0)
    while True:
        head = stream.read(_HEADER.size)
        if len(head) < _HEADER.size or not head.startswith(_ENTRY):
            return
        _, _, _, method, _, _, _, packed, _, name_size, extra_size = _HEADER.unpack(head)
        name = stream.read(name_size).decode("utf-8", "replace")
        stream.seek(extra_size, io.SEEK_CUR)
        data = _inflated(stream) if method == _DEFLATED else stream.read(packed) if method == _STORED else None
        if data is None:
            return
        if not name.endswith("/"):
            yield name, lambda data=data: io.BytesIO(data)  # type: ignore[misc]
        _to_next(stream)


def _inflated(stream: IO[bytes]) -> bytes | None:
    """The data of an entry, whose size may only follow behind it; None where it is not whole."""
    unzip, parts, size = zlib.decompressobj(-zlib.MAX_WBITS), [], 0
    try:
        while not unzip.eof and size <= _MOST:
            chunk = stream.read(_CHUNK)
            if not chunk:
                return None
            parts.append(unzip.decompress(chunk, _MOST))
            size += len(parts[-1])
    except zlib.error:
        return None
    stream.seek(-len(unzip.unused_data), io.SEEK_CUR)
    return b"".join(parts) if unzip.eof else None


def _to_next(stream: IO[bytes]) -> None:
    """Go to the next entry, past what describes the last one."""
    ahead = stream.read(_DESCRIPTOR + len(_ENTRY))
    at = ahead.find(_ENTRY)
    stream.seek((at if at >= 0 else len(ahead)) - len(ahead), io.SEEK_CUR)
