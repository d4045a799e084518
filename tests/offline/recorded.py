"""Real captures, taken apart into frames and put together again."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

Stamped = tuple[float, bytes, int]
"""When a frame passed, what was captured of it, and how long it was."""


def frames_of(path: Path) -> list[Stamped]:
    """The frames of a capture behind gzip: pcap, little-endian, microseconds."""
    data, at = gzip.decompress(path.read_bytes()), 24
    found: list[Stamped] = []
    while at < len(data):
        seconds, fraction, captured, length = struct.unpack_from("<IIII", data, at)
        found.append((seconds + fraction / 1e6, data[at + 16 : at + 16 + captured], length))
        at += 16 + captured
    return found


def pcap_of(frames: Iterable[Stamped], link_type: int = 1) -> bytes:
    """A capture of them."""
    rows = []
    for at, data, length in frames:
        seconds, fraction = divmod(round(at * 1e6), 1_000_000)
        rows.append(struct.pack("<IIII", seconds, fraction, len(data), length) + data)
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type) + b"".join(rows)


def only(chosen: Callable[[bytes], bool]) -> Callable[[list[Stamped]], list[Stamped]]:
    """What a capture filter leaves of frames."""
    return lambda frames: [frame for frame in frames if chosen(frame[1])]
