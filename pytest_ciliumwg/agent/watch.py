"""A watch: every frame on the native devices, searched for our flows, with proof that nothing was missed."""

from __future__ import annotations

import base64
import select
import socket
import threading
import time
from typing import Any, NamedTuple

from . import canary
from .frames import FlowIndex
from .layers import describe
from .ring import RETIRE_MS, Frame, OversizeCounter, Ring
from .wireguard import MessageCounter

FRAMES_KEPT = 4
"""Frames kept whole for each flow, direction and device, as evidence."""
BYTES_KEPT = 16384
CONTROL_ETHERTYPE = 0x88B5
_TICK = 0.2
_DRAIN_SECONDS = 5.0


class _Key(NamedTuple):
    flow: int
    mark: int
    how: str
    device: str
    outgoing: bool


class _Seen:
    """Frames of one key."""

    def __init__(self, at: float, layers: str) -> None:
        self.count = 0
        self.first = self.last = at
        self.layers = layers
        self.frames: list[tuple[float, bytes, int]] = []

    def add(self, at: float, data: bytes, length: int) -> None:
        self.count += 1
        self.last = at
        if len(self.frames) < FRAMES_KEPT:
            self.frames.append((at, data[:BYTES_KEPT], length))


class Watch:
    """Watches devices from construction until `stop`.

    Raises:
        OSError: a device is missing, CAP_NET_RAW is, or there is no memory for the rings.
    """

    def __init__(self, devices: list[str], index: FlowIndex, block_size: int, blocks: int, wireguard_port: int) -> None:
        self._index = index
        self._seen: dict[_Key, _Seen] = {}
        self._frames: dict[str, int] = dict.fromkeys(devices, 0)
        self._errors: list[str] = []
        self._rings: list[Ring] = []
        self._counters: dict[str, MessageCounter] = {}
        self._oversize: dict[str, OversizeCounter] = {}
        self._stopping = threading.Event()
        try:
            for device in devices:
                self._counters[device] = MessageCounter(device, wireguard_port)
                self._oversize[device] = OversizeCounter(device, block_size)
                self._rings.append(Ring(device, block_size, blocks))
        except BaseException:
            self._close()
            raise
        self.started = time.time()
        self._stopped = 0.0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def controls_arrived(self) -> list[int]:
        """Numbers of the control canaries that other nodes' frames have brought so far."""
        return sorted({k.flow for k in list(self._seen) if k.mark == canary.CONTROL and not k.outgoing})

    def stop(self) -> dict[str, Any]:
        """End the watch and give its result; a second call gives the same again."""
        if not self._stopped:
            self._stopped = time.time()
            self._stopping.set()
            self._thread.join()
            self._result = self._report()
            self._close()
        return self._result

    def _run(self) -> None:
        poller = select.poll()
        readers: dict[int, Any] = {}
        for ring in self._rings:
            readers[ring.fileno()] = lambda ring=ring: self._read(ring)
        for counter in self._counters.values():
            readers[counter.fileno()] = counter.read
        for fileno in readers:
            poller.register(fileno, select.POLLIN | select.POLLERR)
        try:
            while not self._stopping.is_set():
                for fileno, event in poller.poll(_TICK * 1000):
                    if event & select.POLLERR:
                        self._note_error(fileno)
                    readers[fileno]()
            self._drain()
        except Exception as error:  # whatever it is, the result must say that the watch went blind
            self._errors.append(f"the watch stopped reading: {error!r}")

    def _drain(self) -> None:
        """Read every frame that the kernel took until the watch ended; the last blocks retire within RETIRE_MS."""
        for ring in self._rings:
            ring.freeze()
        deadline = time.monotonic() + _DRAIN_SECONDS
        for ring in self._rings:
            self._read(ring)
            while self._unread(ring) > 0 and time.monotonic() < deadline:
                time.sleep(RETIRE_MS / 1000)
                self._read(ring)
            if self._unread(ring) > 0:
                self._errors.append(f"{ring.device}: {self._unread(ring)} captured frames could not be read")
        for counter in self._counters.values():
            counter.read()

    def _unread(self, ring: Ring) -> int:
        kernel = ring.statistics()
        return kernel.frames - kernel.drops - self._frames[ring.device]

    def _note_error(self, fileno: int) -> None:
        for ring in self._rings:
            if ring.fileno() == fileno:
                code = ring.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    self._errors.append(f"{ring.device}: capture error {code} (device down or gone)")

    def _read(self, ring: Ring) -> None:
        memory, search = ring.memory, self._index.pattern.search
        for count, first, end in ring.ready_blocks():
            self._frames[ring.device] += count
            if search(memory, first, end) is not None:
                self._walk(ring, count, first, end)

    def _walk(self, ring: Ring, count: int, first: int, end: int) -> None:
        memory, search = ring.memory, self._index.pattern.search
        for frame in ring.frames(count, first, end):
            if search(memory, frame.start, frame.end) is not None:
                self._look(ring.device, frame, memory[frame.start : frame.end])

    def _look(self, device: str, frame: Frame, data: bytes) -> None:
        hit = self._index.find(data)
        if hit is None:
            return
        key = _Key(hit.flow, hit.mark, hit.how, device, frame.outgoing)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen(frame.seconds, describe(data, frame.vlan))
        seen.add(frame.seconds, data, frame.length)

    def _report(self) -> dict[str, Any]:
        devices: dict[str, Any] = {}
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
        return {
            "started": self.started,
            "stopped": self._stopped,
            "devices": devices,
            "errors": sorted(set(self._errors)),
            "seen": [_row(key, seen) for key, seen in self._seen.items()],
        }

    def _close(self) -> None:
        for ring in self._rings:
            ring.close()
        for counter in self._counters.values():
            counter.close()
        for oversize in self._oversize.values():
            oversize.close()


def _row(key: _Key, seen: _Seen) -> dict[str, Any]:
    row: dict[str, Any] = dict(key._asdict())
    row.update(count=seen.count, first=seen.first, last=seen.last, layers=seen.layers)
    row["frames"] = [[at, base64.b64encode(data).decode(), length] for at, data, length in seen.frames]
    return row


def send_control(devices: list[str], token: bytes, targets: list[str]) -> list[str]:
    """Broadcast a control canary on each device, and send it to `targets` (addresses) as UDP datagrams.

    Returns one sentence for each device or target that could not be reached.
    """
    problems: list[str] = []
    payload = canary.fill(token, 64)
    for device in devices:
        try:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
                sock.bind((device, 0))
                mac = sock.getsockname()[4]
                if len(mac) != 6:
                    raise OSError("it has no Ethernet address")
                sock.send(b"\xff" * 6 + mac + CONTROL_ETHERTYPE.to_bytes(2, "big") + payload)
        except OSError as error:
            problems.append(f"control canary on {device}: {error}")
    for target in targets:
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.sendto(payload, (target, 9))
        except OSError as error:
            problems.append(f"control canary to {target}: {error}")
    return problems
