"""A watch: every frame on the native devices, searched for our flows, with proof that nothing was missed."""

from __future__ import annotations

import platform
import select
import socket
import threading
import time
from functools import partial
from typing import Any, Callable

from .. import canary
from .frames import Hit
from .layers import describe
from .ring import Frame
from .rings import Capture, Plan, before_others
from .sightings import Key, Seen, key_of

FRAMES_KEPT = 4
"""Frames kept whole for each flow, direction and device, as evidence."""
BYTES_KEPT = 16384
_TICK = 0.2
_PACE = 20
"""Looks at the rings in the time in which a block is handed over."""
_EVENTS = select.POLLIN | select.POLLERR


class Watch(Capture):
    """Watches devices from construction until `stop`.

    Raises:
        OSError: a device is missing, CAP_NET_RAW is, or there is no memory for the rings.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._pause = plan.retire_ms / 1000 / _PACE
        self._seen: dict[Key, Seen] = {}
        self._errors: list[str] = []
        self._stopping = threading.Event()
        self._end, self._woken = socket.socketpair()
        self.started = time.time()
        self._stopped = 0.0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def controls_arrived(self) -> list[int]:
        """Numbers of the control canaries that other nodes' frames have brought so far."""
        return sorted({k.flow for k in list(self._seen) if k.mark == canary.CONTROL and not k.outgoing})

    def stop(self) -> dict[str, Any]:
        """End the watch and return its result; a second call returns the same."""
        if not self._stopped:
            self._stopped = time.time()
            self._stopping.set()
            self._end.close()  # which wakes the thread
            self._thread.join()
            self._woken.close()
            self._result = self._report()
            self._close()
        return self._result

    def _run(self) -> None:
        before_others()
        poller = select.poll()
        readers: dict[int, Callable[[], None]] = {self._woken.fileno(): lambda: None}
        for ring in self._rings:
            readers[ring.fileno()] = partial(self._read, ring)
        for counter in self._counters.values():
            readers.update(dict.fromkeys([ring.fileno() for ring in counter.rings], counter.read))
        if self._pods is not None:
            readers.update(dict.fromkeys([ring.fileno() for ring in self._pods.rings], self._pods.read))
        for fileno in readers:
            poller.register(fileno, _EVENTS)
        try:
            while not self._stopping.is_set():
                self._follow_inside(poller, readers)
                for fileno, event in poller.poll(_TICK * 1000):
                    if event & select.POLLERR:
                        self._note_error(fileno)
                    readers[fileno]()
                # A ring holds far more than comes meanwhile; woken for every block, this thread would do little else.
                self._stopping.wait(self._pause)
            self._errors += self._drain()
        except Exception as error:  # whatever it is, the result must say that the watch went blind
            self._errors.append(f"the watch stopped reading: {error!r}")

    def _follow_inside(self, poller: select.poll, readers: dict[int, Callable[[], None]]) -> None:
        """Read the inside of the tunnel too, as soon as there is one."""
        if self._inside is None:
            return
        self._inside.follow()
        for ring in self._inside.rings:
            if ring.fileno() not in readers:
                readers[ring.fileno()] = self._inside.read
                poller.register(ring.fileno(), _EVENTS)

    def _note_error(self, fileno: int) -> None:
        for ring in self._rings:
            error = self._error_of(ring) if ring.fileno() == fileno else None
            if error is not None:
                self._errors.append(error)
        for counter in self._counters.values():
            counter.take_error()
        for beside in (self._inside, self._pods):
            if beside is not None:
                beside.take_error()

    def _found(self, hit: Hit, device: str, frame: Frame, data: bytes) -> None:
        key = key_of(hit, device, frame)
        seen = self._seen.get(key)
        if seen is None:
            # Control canaries are as many as nodes, and nobody has to look at one.
            kept = 0 if hit.mark == canary.CONTROL else FRAMES_KEPT
            seen = self._seen[key] = Seen(frame.seconds, describe(data, frame.vlan), kept, BYTES_KEPT)
        seen.add(frame.seconds, data, frame.length)

    def _report(self) -> dict[str, Any]:
        return {
            "kernel": platform.release(),
            "started": self.started,
            "stopped": self._stopped,
            "devices": self._devices(),
            "errors": sorted(set(self._errors)),
            "seen": [seen.row(key) for key, seen in self._seen.items()],
            **self._beside(),
        }
