"""The continuous watch: what it sees goes into a log as it happens, with its time."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

from .. import canary
from ..log import UNSENT, Log
from .controls import send_control
from .frames import Hit
from .inside_log import InsideLog
from .kernel_events import KernelEvents
from .pods_log import PodsLog
from .ring import Frame, Ring
from .rings import Capture, Plan
from .sightings import Intervals, key_of

_TICK = 0.1
"""Seconds between two readings of the rings; reading each block when it is ready would load the node more."""
_SAMPLE_SECONDS = 1.0
_NODE_SHIFT = 20
_NUMBERS = 1 << _NODE_SHIFT
_HEARTBEATS_REMEMBERED = 512


class Heartbeat(NamedTuple):
    """The heartbeat of a node: control canaries on all its devices and to the other nodes."""

    node: int
    """The node's index, below 4096."""
    first: int
    """The number of the first one: an agent that was restarted counts from above all numbers of the last one."""
    period: float
    targets: list[str]
    """The other nodes' addresses."""
    ways: list[str]
    """By which of the ways it goes to them; see `controls.WAYS`."""


class ContinuousWatch(Capture):
    """Watches devices from construction until `stop`, and sends heartbeats meanwhile.

    A device may go down, or go and come again: that is logged, and the watch goes on.

    Raises:
        OSError: a device is missing, CAP_NET_RAW is, or there is no memory for the rings.
        ValueError: the heartbeat makes no sense.
    """

    def __init__(self, plan: Plan, heartbeat: Heartbeat) -> None:
        if not (0 <= heartbeat.node < 1 << (32 - _NODE_SHIFT) and 0.05 <= heartbeat.period <= 3600):
            raise ValueError("a heartbeat needs a node from 0 to 4095 and a period from 0.05 to 3600 seconds")
        super().__init__(plan)
        self._log = Log()
        self._inside_log = None if self._inside is None else InsideLog(self._inside, self._log)
        self._pods_log = None if self._pods is None else PodsLog(self._pods, self._log)
        self._intervals = Intervals(self._log)
        self._heartbeat = heartbeat
        self._ways = heartbeat.ways
        self._beats = heartbeat.first
        self._heartbeats_seen: OrderedDict[tuple[int, str, bool], None] = OrderedDict()
        self._problems: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        try:
            self._attached = {device: socket.if_nametoindex(device) for device in plan.devices}
            self._kernel = KernelEvents(plan.devices)
        except BaseException:
            self._close()
            raise
        self.started = time.time()
        self._result: dict[str, Any] | None = None
        self._sampled = dict.fromkeys(plan.devices, (0, 0))
        self._sampled_at = self.started
        self._next_heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="continuous watch", daemon=True)
        self._thread.start()

    def collect(self, acknowledged: int) -> dict[str, Any]:
        """`{now, started, entries, overflow, devices}`; entries up to `acknowledged` are forgotten."""
        with self._lock:
            report = self._result or self._report(time.time())
        return dict(report, entries=self._log.after(acknowledged), overflow=self._log.overflow)

    def send_by(self, ways: list[str]) -> None:
        """Send heartbeats to the other nodes by these ways from now on."""
        self._ways = ways

    def stop(self, acknowledged: int) -> dict[str, Any]:
        """End the watch; returns what `collect` does, and `stopped`. A second call returns the same."""
        self._stopping.set()
        self._thread.join()
        with self._lock:
            if self._result is None:
                self._finish()
        return self.collect(acknowledged)

    def _run(self) -> None:
        while not self._stopping.wait(min(_TICK, max(0.0, self._next_heartbeat - time.monotonic()))):
            try:
                with self._lock:
                    self._step()
            except Exception as error:  # whatever it is, the log must say that the watch was blind
                self._log.failure(f"the watch could not read: {error!r}")

    def _step(self) -> None:
        self._beat()
        for ring in self._rings:
            self._follow(ring)
            self._read(ring)
        for counter in self._counters.values():
            counter.read()
        if self._inside_log is not None:
            self._inside_log.step()
        if self._pods is not None:
            self._pods.read()
        for entry in self._kernel.read():
            self._log.add(entry)
        now = time.time()
        self._intervals.close(now)
        if not 0 <= now - self._sampled_at < _SAMPLE_SECONDS:
            self._sample(now)

    def _finish(self) -> None:
        # The last heartbeat says that the watch could see until now.
        self._next_heartbeat = 0.0
        self._beat()
        for problem in self._drain():
            self._log.error(problem)
        self._intervals.close()
        for entry in self._kernel.read() + self._kernel.flush():
            self._log.add(entry)
        stopped = time.time()
        self._sample(stopped)
        self._result = dict(self._report(stopped), stopped=stopped)
        self._kernel.close()
        self._close()

    def _report(self, now: float) -> dict[str, Any]:
        return {"now": now, "started": self.started, "devices": self._devices(), **self._beside()}

    def _beat(self) -> None:
        """Send a heartbeat when its time has come; a problem is logged once, until it works again."""
        now = time.monotonic()
        if now < self._next_heartbeat:
            return
        on_time = self._next_heartbeat + self._heartbeat.period
        self._next_heartbeat = on_time if on_time > now else now + self._heartbeat.period
        number = self._heartbeat.node << _NODE_SHIFT | self._beats % _NUMBERS
        self._beats += 1
        token = self._index.canaries.make(number, canary.CONTROL)
        devices = [ring.device for ring in self._rings]
        problems = set(itertools.chain(*send_control(devices, token, self._heartbeat.targets, self._ways)))
        if self._inside_log is not None:
            self._inside_log.beat(number, token)
        if self._pods_log is not None:
            self._pods_log.beat()
        for problem in sorted(problems - self._problems):
            self._log.error(problem, UNSENT)
        self._problems = problems

    def _follow(self, ring: Ring) -> None:
        """Log that a device went down or away, and watch one that was made again under the same name."""
        error = self._error_of(ring)
        if error is not None:
            self._log.error(error)
        try:
            index = socket.if_nametoindex(ring.device)
            if index != self._attached[ring.device]:
                for pods in self._pods.rings if self._pods is not None else ():
                    if pods.device == ring.device:
                        pods.attach()
                for reader in (ring, self._counters[ring.device], self._oversize[ring.device]):
                    reader.attach()
                self._attached[ring.device] = index
                self._log.error(f"{ring.device}: it came again as a new device, and is watched from now on")
        except OSError:
            return  # it is gone: that was told, or will be at the next look

    def _found(self, hit: Hit, device: str, frame: Frame, data: bytes) -> None:
        if hit.mark != canary.CONTROL:
            self._intervals.add(key_of(hit, device, frame), frame, data)
            return
        key = (hit.flow, device, frame.outgoing)
        if key in self._heartbeats_seen:
            return
        self._heartbeats_seen[key] = None
        if len(self._heartbeats_seen) > _HEARTBEATS_REMEMBERED:
            self._heartbeats_seen.popitem(last=False)
        node, number = divmod(hit.flow, _NUMBERS)
        where = {"device": device, "outgoing": frame.outgoing, "at": frame.seconds}
        self._log.add({"kind": "heartbeat", "node": node, "number": number, **where})

    def _sample(self, now: float) -> None:
        """Log what the kernel dropped or cut since the last sample, and packets between other pods."""
        if self._pods_log is not None:
            self._pods_log.sample(now)
        for ring in self._rings:
            total = (ring.statistics().drops, self._oversize[ring.device].count())
            drops, truncated = (new - old for new, old in zip(total, self._sampled[ring.device]))
            if drops or truncated:
                times = {"first": self._sampled_at, "last": now}
                counts = {"drops": drops, "truncated": truncated}
                self._log.add({"kind": "drops", "device": ring.device, **times, **counts})
            self._sampled[ring.device] = total
        self._sampled_at = now
