"""Faults of the capture itself, made in the way to the node's agent: the watch must notice that it saw too little."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from pytest_ciliumwg.providers.base import AgentPort
from pytest_ciliumwg.providers.lab.faults.registry import fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import UNDERLAY, LabNode
from pytest_ciliumwg.providers.lab.topology import port_of

TINY_RING = {"block_size": 4096, "blocks": 2}
BURST_FRAMES = 20000

# Local experimental EtherType 2, so that nobody takes the frames for traffic of his.
_BURST = """
import socket, sys
for port in sys.argv[2:]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((port, 0))
        frame = b"\\xff" * 6 + bytes.fromhex("020000000000") + bytes.fromhex("88b6") + bytes(1400)
        for _ in range(int(sys.argv[1])):
            try:
                wire.send(frame)
            except OSError:
                pass
"""


class LatePort:
    """Says that the watch has started, and starts it only for the last request of the measurement."""

    def __init__(self, inner: AgentPort) -> None:
        self._inner = inner
        self._held: dict[str, bytes] = {}
        self._controls: set[Any] = set()

    @property
    def name(self) -> str:
        """The node's name."""
        return self._inner.name

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        """Hold `watch-start` until the control canary after the flows, or the end of the watch."""
        message = _decode(request)
        operation = message.get("op")
        if operation == "watch-start":
            self._held[str(message.get("job"))] = request
            return json.dumps({"ok": True, "started": time.time()}).encode() + b"\n"
        if operation == "control":
            self._controls.add(message.get("number"))
        if operation == "watch-stop" or (operation == "control" and len(self._controls) > 1):
            self._release(timeout)
        return self._inner.exchange(request, timeout=timeout)

    def _release(self, timeout: float) -> None:
        while self._held:
            _, held = self._held.popitem()
            self._inner.exchange(held, timeout=timeout)
        self._controls.clear()


class TinyRingPort:
    """Starts every watch with a ring of a few frames, and then fills it faster than anybody can read."""

    def __init__(self, inner: AgentPort, burst: Callable[[], None]) -> None:
        self._inner = inner
        self._burst = burst

    @property
    def name(self) -> str:
        """The node's name."""
        return self._inner.name

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        """Rewrite the ring of `watch-start`."""
        message = _decode(request)
        if message.get("op") != "watch-start":
            return self._inner.exchange(request, timeout=timeout)
        reply = self._inner.exchange(json.dumps({**message, "ring": TINY_RING}).encode() + b"\n", timeout=timeout)
        self._burst()
        return reply


def _decode(request: bytes) -> dict[str, Any]:
    message = json.loads(request)
    return message if isinstance(message, dict) else {}


@fault(
    "watch-late",
    description="the node's watch starts only after the flows have passed, though its start was confirmed",
    shows="no cleartext seen on the node, because nobody looked",
    source="a capture that is started in the background and not waited for; cilium/cilium issue 40456",
)
def watch_late(lab: Lab, node: LabNode) -> None:
    """Hold back the start of watches."""
    lab.wrap_port(node, LatePort)


@fault(
    "tiny-ring",
    description="the node's capture has a ring of 8 KiB, and a burst of frames overruns it",
    shows="frames dropped by the kernel: what was in them nobody knows",
    source="a busy node with tcpdump's small default buffer",
)
def tiny_ring(lab: Lab, node: LabNode) -> None:
    """Shrink the ring of watches and make a burst on the node's native devices."""
    ports = " ".join(port_of(node, device) for device in lab.spec.devices)
    script = f"\"{sys.executable or 'python3'}\" -I -S - {BURST_FRAMES} {ports} <<'END'\n{_BURST}END\n"

    def burst() -> None:
        lab.sandbox.run(script, netns=UNDERLAY)

    lab.wrap_port(node, lambda inner: TinyRingPort(inner, burst))
