"""The headers of all frames of some devices for a while, as captures that others judge: bounded in time and in size.

The kernel cuts the frames, and of what it hands over no more is kept than their headers.
"""

from __future__ import annotations

import select
import struct
import threading
import time
import zlib
from typing import Any

from .link_layer import has_ethernet
from .packet_headers import headers_end
from .ring import Block, Frame, Ring, read_out
from .rings import before_others

SNAPLEN = 128
"""Bytes taken of a frame: all headers, with those of a tunnel."""
MOST_BYTES = 64 << 20
"""Of each device's capture, compressed."""
LONGEST = 3600.0
"""Seconds."""
CHUNK = 2 << 20
_KEEP: tuple[tuple[int, int, int, int], ...] = ((0x06, 0, 0, SNAPLEN),)
_ETHERNET, _RAW_IP = 1, 101
_TAG = b"\x81\x00"
_TAG_AT, _TAG_SIZE = 12, 4
_SECTION, _INTERFACE, _STATISTICS, _FRAME = 0x0A0D0D0A, 1, 5, 6
_SECTION_PROGRAM, _IF_NAME, _RECEIVED, _DROPPED = 4, 2, 4, 5
PROGRAM = b"pytest-ciliumwg"
"""What the captures say they are of: they are known to have no filter, and both directions."""
_FAST = 1
_GZIP = 31
_TICK = 0.2
_PACE = 0.005


class Headers:
    """Captures from construction until its time is over, or a device's capture is as large as one may be.

    Raises:
        OSError: a device is missing, CAP_NET_RAW is, or there is no memory for the rings.
    """

    def __init__(self, devices: list[str], seconds: float, block_size: int, blocks: int) -> None:
        if not 0 < seconds <= LONGEST:
            raise ValueError(f"a capture of {seconds:g} s: it may last {LONGEST:g} s at most")
        self.finished = threading.Event()
        self.problems: list[str] = []
        self._captures: list[_Capture] = []
        try:
            for device in devices:
                self._captures.append(_Capture(device, block_size, blocks))
        except BaseException:
            self._close()
            raise
        self.until = time.monotonic() + seconds
        """When it ends, by the monotonic clock."""
        self._thread = threading.Thread(target=self._run, name="headers", daemon=True)
        self._thread.start()

    def sizes(self) -> dict[str, int]:
        """Device → how large its capture is, once all are finished."""
        return {capture.ring.device: len(capture.data) for capture in self._captures}

    def part(self, device: str, offset: int) -> bytes:
        """Some of a device's capture."""
        capture = next(capture for capture in self._captures if capture.ring.device == device)
        return bytes(capture.data[offset : offset + CHUNK])

    def _run(self) -> None:
        before_others()
        try:
            self._follow()
            read_out([capture.ring for capture in self._captures if not capture.full], self._read_all)
            for capture in self._captures:
                self.problems += capture.end()
        except Exception as error:  # whatever it is, whoever asks must hear that the captures are not whole
            self.problems.append(f"the capture ended early: {error!r}")
        self._close()
        self.finished.set()

    def _follow(self) -> None:
        poller = select.poll()
        for capture in self._captures:
            poller.register(capture.ring.fileno(), select.POLLIN | select.POLLERR)
        while time.monotonic() < self.until and not all(capture.full for capture in self._captures):
            poller.poll(_TICK * 1000)
            for capture in self._captures:
                self._note_error(capture.ring)
            self._read_all()
            time.sleep(_PACE)

    def _note_error(self, ring: Ring) -> None:
        if code := ring.take_error():
            self.problems.append(f"{ring.device}: capture error {code} (device down or gone)")

    def _read_all(self) -> None:
        for capture in self._captures:
            capture.read()

    def _close(self) -> None:
        for capture in self._captures:
            capture.ring.close()


class _Capture:
    """One device's, as pcapng behind gzip, which tells the frames that were dropped."""

    def __init__(self, device: str, block_size: int, blocks: int) -> None:
        self.data = bytearray()
        self.full = False
        self.ring = Ring(device, block_size, blocks, _KEEP)
        self._zip = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
        try:
            self._ethernet = has_ethernet(device)
        except BaseException:
            self.ring.close()
            raise
        link_type = _ETHERNET if self._ethernet else _RAW_IP
        described = struct.pack("<HHI", link_type, 0, SNAPLEN + _TAG_SIZE) + _option(_IF_NAME, device.encode())
        section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _option(_SECTION_PROGRAM, PROGRAM)
        self._add(_block(_SECTION, section) + _block(_INTERFACE, described))

    def read(self) -> None:
        """Take the frames that the kernel has handed over."""
        if self.full:
            return
        for block in self.ring.ready_blocks():
            self._take(block)
            if len(self.data) > MOST_BYTES:
                self.full = True
                self.ring.freeze()
                return

    def _take(self, block: Block) -> None:
        self._add(b"".join([self._frame(frame) for frame in self.ring.frames(block)]))

    def _frame(self, frame: Frame) -> bytes:
        kept = self._bytes(frame)
        tag = 0 if frame.vlan is None or not self._ethernet else _TAG_SIZE
        numbers = struct.pack("<IIIII", 0, *_halves(frame.seconds), len(kept), frame.length + tag)
        return _block(_FRAME, numbers + _padded(kept))

    def _bytes(self, frame: Frame) -> bytes:
        """A frame's headers, with the VLAN's tag that the kernel has taken out of it."""
        taken: bytes = self.ring.memory[frame.start : frame.end]
        kept = taken[: headers_end(taken, ethernet=self._ethernet)]
        if frame.vlan is None or not self._ethernet:
            return kept
        return kept[:_TAG_AT] + _TAG + struct.pack(">H", frame.vlan) + kept[_TAG_AT:]

    def end(self) -> list[str]:
        """Write what was dropped, and finish the file; returns what whoever reads it should know."""
        kernel = self.ring.statistics()
        lost = kernel.drops + (0 if self.full else max(self.ring.left(), 0))
        counted = _number(_RECEIVED, kernel.frames) + _number(_DROPPED, lost)
        self._add(_block(_STATISTICS, struct.pack("<III", 0, *_halves(time.time())) + counted))
        self.data += self._zip.flush()
        if self.full:
            return [f"{self.ring.device}: its capture ended early, when it had {MOST_BYTES >> 20} MiB"]
        return []

    def _add(self, blocks: bytes) -> None:
        self.data += self._zip.compress(blocks)


def _halves(seconds: float) -> tuple[int, int]:
    """A time in microseconds, as two numbers."""
    number = int(seconds * 1e6)
    return number >> 32, number & 0xFFFFFFFF


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _number(code: int, number: int) -> bytes:
    return _option(code, struct.pack("<Q", number))


def reply_of(headers: Headers, wait: float) -> dict[str, Any]:
    """Whether a capture has ended after some seconds, and then how large its files are."""
    done = headers.finished.wait(wait)
    return {"done": done, "sizes": headers.sizes() if done else {}, "problems": list(headers.problems) if done else []}
