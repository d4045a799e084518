"""The rings of some devices, read and searched; both kinds of watch build on it."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from pathlib import Path
from typing import Any, Iterator, NamedTuple

from .frames import FlowIndex, Hit
from .inside import Inside, Tunnel
from .link_layer import has_ethernet, with_ethernet
from .machines import Machines
from .needles import Needles
from .pods import PodNetworks, PodWatch
from .ring import RETIRE_MS, Frame, OversizeCounter, Ring, read_out
from .wireguard import MessageCounter

_NICE = -10


def before_others() -> None:
    """Let this process run before others where that is allowed: a ring that nobody reads overflows.

    All of its threads: one that waited for a processor with Python's lock would keep the reader waiting too.
    """
    with contextlib.suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), _NICE)


class Plan(NamedTuple):
    """What a watch looks at."""

    devices: list[str]
    """The native devices."""
    flows: FlowIndex
    """The flows that are looked for."""
    block_size: int
    blocks: int
    """Of the ring of each device: bytes of a block, and how many there are."""
    wireguard_port: int
    inside: Tunnel | None = None
    """The inside of the tunnel, if that is watched too."""
    pods: PodNetworks | None = None
    """All pods' networks, if packets between other pods are counted too."""
    machines: Machines = Machines()
    """The nodes of the cluster: what is known by addresses alone may be others'."""
    retire_ms: int = RETIRE_MS
    """Of all rings: milliseconds after which a block is handed over that is not full."""


class Capture:
    """All frames of some devices, and what passes inside the tunnel; a subclass says what becomes of a hit.

    Raises:
        OSError: a device is missing, CAP_NET_RAW is, or there is no memory for the rings.
    """

    def __init__(self, plan: Plan) -> None:
        self._index = plan.flows
        self._needles = Needles(plan.flows.strings)
        self._machines = plan.machines
        self._foreign: dict[str, int] = dict.fromkeys(plan.devices, 0)
        self._inside: Inside | None = None
        self._pods: PodWatch | None = None
        self._unreadable: dict[str, int] = dict.fromkeys(plan.devices, 0)
        self._rings: list[Ring] = []
        self._counters: dict[str, MessageCounter] = {}
        self._oversize: dict[str, OversizeCounter] = {}
        self._ethernet: dict[str, bool] = {}
        try:
            for device in plan.devices:
                self._counters[device] = MessageCounter(device, plan.wireguard_port, plan.machines, plan.retire_ms)
                self._oversize[device] = OversizeCounter(device, plan.block_size)
                self._rings.append(Ring(device, plan.block_size, plan.blocks, retire_ms=plan.retire_ms))
                self._ethernet[device] = has_ethernet(device)
            if plan.inside is not None:
                self._inside = Inside(plan.inside, plan.flows, plan.block_size, plan.blocks, plan.retire_ms)
            if plan.pods is not None:
                self._pods = PodWatch(plan.devices, plan.pods, plan.machines, plan.retire_ms)
        except BaseException:
            self._close()
            raise

    def _found(self, hit: Hit, device: str, frame: Frame, data: bytes) -> None:
        """Take note of a frame of ours."""
        raise NotImplementedError

    def _read(self, ring: Ring) -> None:
        for number, span in enumerate(ring.ready_spans()):
            if number == 0:
                self._counters[ring.device].sample(ring, span[0])
            for frame in ring.frames_with(self._needles, span):
                self._look_at(frame, ring)

    def _look_at(self, frame: Frame, ring: Ring) -> None:
        """Find what is ours in a frame; a frame that cannot be read is counted, and does not end the watch."""
        data = ring.memory[frame.start : frame.end]
        if not self._ethernet[ring.device]:
            data = with_ethernet(data)
        try:
            hits = self._index.find_all(data)
            others = [hit for hit in hits if hit.how != "canary"] if self._machines.are_others(frame, data) else ()
            self._foreign[ring.device] += bool(others)
            for hit in hits:
                if hit not in others:
                    self._found(hit, ring.device, frame, data)
        except (LookupError, ValueError, struct.error):
            self._unreadable[ring.device] += 1

    def _drain(self) -> list[str]:
        """Read every frame that the kernel took until now; returns a sentence for each device with frames left."""
        for ring in self._every_ring():
            ring.freeze()  # all at once, so that the last blocks of all are handed over together
        if self._inside is not None:
            self._inside.drain(time.time())
        if self._pods is not None:
            self._pods.drain()
        read_out(self._rings, self._read_all)
        left = [(ring.device, ring.left()) for ring in self._rings]
        problems = [f"{device}: {count} captured frames could not be read" for device, count in left if count > 0]
        for counter in self._counters.values():
            counter.drain()
        for device, count in self._unreadable.items():
            if count:
                problems.append(f"{device}: {count} captured frames could not be taken apart")
        return problems

    def _every_ring(self) -> Iterator[Ring]:
        """The inside first: for each packet that it counts the native devices have to have counted a message."""
        for beside in (self._inside, self._pods):
            yield from () if beside is None else beside.rings
        yield from self._rings
        for counter in self._counters.values():
            yield from counter.rings

    def _read_all(self) -> None:
        for ring in self._rings:
            self._read(ring)

    def _beside(self) -> dict[str, Any]:
        """What was seen beside the flows' frames: `{inside, pods}`, each None where it is not watched."""
        return {
            "inside": None if self._inside is None else self._inside.report(),
            "pods": None if self._pods is None else self._pods.report(),
        }

    def _error_of(self, ring: Ring) -> str | None:
        """The error that the kernel holds for a ring, in a sentence; reading it clears it."""
        code = ring.take_error()
        return f"{ring.device}: capture error {code} (device down or gone)" if code else None

    def _devices(self) -> dict[str, dict[str, Any]]:
        """`{device: {frames, kernel_frames, drops, freezes, truncated, wireguard, foreign}}` since the start."""
        devices: dict[str, dict[str, Any]] = {}
        for ring in self._rings:
            kernel = ring.statistics()
            devices[ring.device] = {
                "frames": ring.taken,
                "kernel_frames": kernel.frames,
                "drops": kernel.drops,
                "freezes": kernel.freezes,
                "truncated": self._oversize[ring.device].count(),
                "wireguard": self._counters[ring.device].result(),
                "foreign": self._put_aside(ring.device),
            }
        return devices

    def _put_aside(self, device: str) -> dict[str, int]:
        """How many frames between machines that are no nodes were like our flows', WireGuard's or other pods'."""
        return {
            "flows": self._foreign[device],
            "wireguard": self._counters[device].foreign,
            "pods": 0 if self._pods is None else self._pods.foreign[device],
        }

    def _close(self) -> None:
        for ring in self._rings:
            ring.close()
        for counter in self._counters.values():
            counter.close()
        for oversize in self._oversize.values():
            oversize.close()
        for beside in (self._inside, self._pods):
            if beside is not None:
                beside.close()
