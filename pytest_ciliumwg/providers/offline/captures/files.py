"""The formats of captures: pcap, with nanoseconds or without, pcapng, and either behind gzip; read as a stream."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import IO

from pytest_ciliumwg.providers.offline.captures.capture import LONGEST, Capture, Frames, Interface, Take
from pytest_ciliumwg.providers.offline.captures.chunks import Chunks, plain
from pytest_ciliumwg.providers.offline.captures.pcapng import SECTION, read_pcapng

CAPTURE_NAME = re.compile(r".+\.(?:pcap|pcapng|cap|dmp)(?:\.gz)?", re.IGNORECASE)
_PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}


def read_capture(name: str, stream: IO[bytes], taker: Callable[[Interface], Take]) -> Capture:
    """Read a capture to its end; `taker` makes for each interface what takes its frames.

    A file that is cut off is read as far as it goes.
    """
    capture = Capture(name)
    try:
        _read(capture, Chunks(plain(stream)), taker)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        capture.problem = capture.problem or f"is damaged ({error}), and was read as far as that"
    return capture


def _read(capture: Capture, chunks: Chunks, taker: Callable[[Interface], Take]) -> None:
    if not chunks.has(4):
        capture.problem = "is empty" if not chunks.left else "is no capture"
    elif chunks.data[:4] in _PCAP:
        _pcap(capture, chunks, taker)
    elif chunks.data[:4] == SECTION:
        read_pcapng(capture, chunks, taker)
    else:
        capture.problem = "is no capture: it begins neither as pcap nor as pcapng does"


def _pcap(capture: Capture, chunks: Chunks, taker: Callable[[Interface], Take]) -> None:
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


def _records(chunks: Chunks, record: struct.Struct, scale: float) -> Frames:
    """The whole records of the chunk."""
    unpack, data, end, at = record.unpack_from, chunks.data, len(chunks.data) - 16, chunks.at
    last = len(data)
    while at <= end:
        seconds, fraction, captured, _ = unpack(data, at)
        start = at + 16
        if captured > LONGEST:
            raise OSError(f"a frame of {captured} bytes")
        if start + captured > last:
            break
        at = start + captured
        yield start, captured, seconds + fraction * scale
    chunks.at = at
