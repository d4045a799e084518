"""The rings of some devices, read and searched; both kinds of watch build on it."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import time
from typing import Any

from .frames import FlowIndex, Hit
from .inside import Inside, Tunnel
from .ring import RETIRE_MS, Frame, OversizeCounter, Ring
from .wireguard import MessageCounter

_DRAIN_SECONDS = 5.0
_NICE = -10


def before_others() -> None:
    """Let this thread run before others where that is allowed: a ring that nobody reads overflows."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class Capture:
    """All frames of some devices, and what passes inside the tunnel; a subclass says what becomes of a hit.

    Raises:
        OSError: a device is missing, CAP_NET_RAW is, or there is no memory for the rings.
    """

    def __init__(
        self,
        devices: list[str],
        index: FlowIndex,
        block_size: int,
        blocks: int,
        wireguard_port: int,
        inside: Tunnel | None = None,
    ) -> None:
        self._index = index
        self._inside: Inside | None = None
        self._frames: dict[str, int] = dict.fromkeys(devices, 0)
        self._unreadable: dict[str, int] = dict.fromkeys(devices, 0)
        self._rings: list[Ring] = []
        self._counters: dict[str, MessageCounter] = {}
        self._oversize: dict[str, OversizeCounter] = {}
        try:
            for device in devices:
                self._counters[device] = MessageCounter(device, wireguard_port)
                self._oversize[device] = OversizeCounter(device, block_size)
                self._rings.append(Ring(device, block_size, blocks))
            if inside is not None:
                self._inside = Inside(inside, index, block_size, blocks)
        except BaseException:
            self._close()
            raise

    def _found(self, hit: Hit, device: str, frame: Frame, data: bytes) -> None:
        """Take note of a frame of ours."""
        raise NotImplementedError

    def _read(self, ring: Ring) -> None:
        memory, search = ring.memory, self._index.pattern.search
        for count, first, end in ring.ready_blocks():
            self._frames[ring.device] += count
            match = search(memory, first, end)
            if match is not None:
                self._walk(ring, count, first, end, match.start())

    def _walk(self, ring: Ring, count: int, first: int, end: int, at: int) -> None:
        """Look at the frames of a block that may hold what matched; before `at`, nothing did."""
        memory, search = ring.memory, self._index.pattern.search
        for frame in ring.frames(count, first, end):
            if frame.end <= at:
                continue
            if search(memory, frame.start, frame.end) is not None:
                self._look_at(frame, ring)
            match = search(memory, frame.end, end)
            if match is None:
                return
            at = match.start()

    def _look_at(self, frame: Frame, ring: Ring) -> None:
        """Find what is ours in a frame; a frame that cannot be read is counted, and does not end the watch."""
        data = ring.memory[frame.start : frame.end]
        try:
            for hit in self._index.find_all(data):
                self._found(hit, ring.device, frame, data)
        except (LookupError, ValueError, struct.error):
            self._unreadable[ring.device] += 1

    def _drain(self) -> list[str]:
        """Read every frame that the kernel took until now, the last; the last blocks retire within RETIRE_MS.

        Returns a sentence for each device of which frames were left.
        """
        problems: list[str] = []
        if self._inside is not None:
            self._inside.drain(time.time())
        for ring in self._rings:
            ring.freeze()
        deadline = time.monotonic() + _DRAIN_SECONDS
        for ring in self._rings:
            self._read(ring)
            while self._unread(ring) > 0 and time.monotonic() < deadline:
                time.sleep(RETIRE_MS / 1000)
                self._read(ring)
            if self._unread(ring) > 0:
                problems.append(f"{ring.device}: {self._unread(ring)} captured frames could not be read")
        for counter in self._counters.values():
            counter.read()
        for device, count in self._unreadable.items():
            if count:
                problems.append(f"{device}: {count} captured frames could not be taken apart")
        return problems

    def _unread(self, ring: Ring) -> int:
        kernel = ring.statistics()
        return kernel.frames - kernel.drops - self._frames[ring.device]

    def _error_of(self, ring: Ring) -> str | None:
        """The error that the kernel holds for a ring, in a sentence; reading it clears it."""
        code = ring.take_error()
        return f"{ring.device}: capture error {code} (device down or gone)" if code else None

    def _devices(self) -> dict[str, dict[str, Any]]:
        """`{device: {frames, kernel_frames, drops, freezes, truncated, wireguard}}` since the start."""
        devices: dict[str, dict[str, Any]] = {}
        for ring in self._rings:
            kernel = ring.statistics()
            devices[ring.device] = {
                "frames": self._frames[ring.device],
                "kernel_frames": kernel.frames,
                "drops": kernel.drops,
                "freezes": kernel.freezes,
                "truncated": self._oversize[ring.device].count(),
                "wireguard": self._counters[ring.device].result(),
            }
        return devices

    def _close(self) -> None:
        for ring in self._rings:
            ring.close()
        for counter in self._counters.values():
            counter.close()
        for oversize in self._oversize.values():
            oversize.close()
        if self._inside is not None:
            self._inside.close()
