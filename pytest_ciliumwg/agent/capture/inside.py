"""The inside of the tunnel: what goes into the WireGuard device to be encrypted, and what comes out of it decrypted.

A packet socket on `cilium_wg0` sees each packet before WireGuard encrypts it and after WireGuard decrypted it, with the
kernel's WireGuard and wireguard-go alike. So a flow's canary that leaves here on one node and arrives here on another
was carried by the tunnel. Packets are counted, never kept: most of them are other people's.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from typing import Any, Callable, NamedTuple

from .. import canary
from .frames import FlowIndex
from .inner_packets import ends_of_bare_segment, inner_packets, udp_payload
from .needles import Needles
from .ring import RETIRE_MS, Frame, OversizeCounter, Ring, read_out

QUIET_SECONDS = 1.0
"""A flow of which nothing passes for so long has a gap."""
_MOST_PASSAGES = 1 << 16
_TOKENS_REMEMBERED = 1 << 14
_CONTROLS_REMEMBERED = 512
_MANY_OURS = 4
"""Where one packet of so many is ours, looking at each takes less than a search for the next one."""
AWAY = (errno.ENODEV, errno.ENETDOWN, errno.ENXIO)
"""Errors of a device that is not there, or down."""
_NUMBER = 4
"""Bytes of a message's number, which stands before its first canary (see `traffic.payload`)."""

Gap = Callable[[int, bool, float, float], None]
"""Told of a flow's number, direction (whether it went in), and the times of the packets before and after a gap."""


class Tunnel(NamedTuple):
    """The inside that a watch is asked for."""

    device: str
    """The WireGuard device."""
    headers: bool
    """Whether packets without a canary are looked at too, for flows whose payload is too short for one."""


class _Key(NamedTuple):
    flow: int
    outgoing: bool
    """Whether it went in to be encrypted (true), or came out decrypted (false)."""
    how: str
    """`canary`, or `header` for a packet too short to hold one."""


class _Passage:
    """Packets of one flow in one direction."""

    def __init__(self, at: float) -> None:
        self.frames = self.bytes = 0
        self.numbers: set[bytes] = set()
        """Of the messages that begin in these packets; not kept by a watch that goes on."""
        self.first = self.last = at


class Inside:
    """Counts the packets of flows on the WireGuard device from construction until `close`.

    A device that is not there has nothing inside; it is taken up when `follow` finds it.

    Raises:
        OSError: CAP_NET_RAW is missing, or there is no memory for the ring.
    """

    def __init__(
        self, tunnel: Tunnel, index: FlowIndex, block_size: int, blocks: int, retire_ms: int = RETIRE_MS
    ) -> None:
        self.device = tunnel.device
        self._index = index
        self._size = (block_size, blocks)
        self._retire_ms = retire_ms
        self._headers = tunnel.headers
        self._needles = Needles(index.strings if tunnel.headers else index.canaries.prefixes)
        self._gap: Gap | None = None
        self._passages: dict[_Key, _Passage] = {}
        self._controls: dict[int, None] = {}
        self._tokens: dict[bytes, tuple[int, int] | None] = {}
        self._bare: dict[bytes, int | None] = {}
        self._many_ours = False
        self._unread = 0
        self._forgotten = 0
        self._attached = 0
        self._ring: Ring | None = None
        self._oversize: OversizeCounter | None = None
        self.follow()

    def on_gap(self, gap: Gap) -> None:
        """Call this for each time of QUIET_SECONDS or more in which nothing of a flow passed."""
        self._gap = gap

    @property
    def rings(self) -> list[Ring]:
        """The ring to poll; none while the device is not there."""
        return [self._ring] if self._ring is not None else []

    def follow(self) -> bool:
        """Take up the device that has the name now; returns whether another one was taken up than before."""
        try:
            number = socket.if_nametoindex(self.device)
        except OSError:
            number = 0
        if number == self._attached:
            return False
        self._attached = number if number and self._attach() else 0
        return bool(self._attached)

    def _attach(self) -> bool:
        try:
            if self._ring is None:
                self._oversize = OversizeCounter(self.device, self._size[0])
                self._ring = Ring(self.device, *self._size, retire_ms=self._retire_ms)
            else:
                for socket_ in (self._ring, self._oversize):
                    if socket_ is not None:
                        socket_.attach()
        except OSError as error:
            if error.errno in AWAY:
                return False  # it went away again in between
            self.close()
            raise
        return True

    def heard(self, number: int) -> bool:
        """Whether the control canary with this number was seen."""
        return number in self._controls

    @property
    def present(self) -> bool:
        """Whether the device is there."""
        return bool(self._attached)

    def take_error(self) -> None:
        """Take the kernel's error away, which would wake poll for ever: a device that went away has nothing inside."""
        for ring in self.rings:
            ring.take_error()

    def read(self) -> None:
        """Count what has come since the last call."""
        for ring in self.rings:
            for span in ring.ready_spans():
                frames = ring.all_frames(span) if self._many_ours else ring.frames_with(self._needles, span)
                packets = (packet for frame in frames for packet in inner_packets(ring.memory, frame))
                ours = sum(self._take(packet, ring.memory) for packet in packets)
                self._many_ours = ours * _MANY_OURS >= sum(block.held for block in span)

    def _take(self, packet: Frame, memory: mmap.mmap) -> bool:
        """Count a packet if it is of a flow of ours; returns whether it is."""
        ends = ends_of_bare_segment(memory, packet)
        if ends:
            return self._headers and self._unmarked(packet, self._flow_of_ends(ends, packet, memory), 0)
        if self._marked(packet, memory):
            return True
        return self._headers and self._unmarked(packet, self._flow_of(packet, memory), udp_payload(memory, packet))

    def _marked(self, frame: Frame, memory: mmap.mmap) -> bool:
        """Count a packet by its first whole canary; a message may end with half of one. Returns whether it has any."""
        common = self._index.canaries.common
        start = memory.find(common, frame.start, frame.end)
        while start >= 0:
            token = memory[start : min(start + canary.SIZE, frame.end)]
            found = self._read_token(token)
            if found is not None:
                self._note(frame, memory, start, token, *found)
                return True
            start = memory.find(common, start + 1, frame.end)
        return False

    def _read_token(self, token: bytes) -> tuple[int, int] | None:
        if token not in self._tokens:
            if len(self._tokens) >= _TOKENS_REMEMBERED:
                self._tokens.clear()
            self._tokens[token] = self._index.canaries.read(token)
        return self._tokens[token]

    def _note(self, frame: Frame, memory: mmap.mmap, start: int, token: bytes, number: int, mark: int) -> None:
        if mark == canary.CONTROL:
            self._controls[number] = None
            if len(self._controls) > _CONTROLS_REMEMBERED:
                del self._controls[next(iter(self._controls))]
        else:
            numbers = _numbers(memory, frame, start, token)
            passage = self._count(_Key(number, frame.outgoing, "canary"), frame, frame.end - start, len(numbers))
            if passage is not None and self._gap is None:
                passage.numbers.update(numbers)

    def _unmarked(self, packet: Frame, flow: int | None, size: int) -> bool:
        if flow is not None:
            self._count(_Key(flow, packet.outgoing, "header"), packet, size)
        return flow is not None

    def _flow_of(self, packet: Frame, memory: mmap.mmap) -> int | None:
        """Whose a packet is by its headers; None for what no flow of ours sends."""
        try:
            hit = self._index.find(memory[packet.start : packet.end])
        except (LookupError, ValueError, struct.error):
            return None
        return hit.flow if hit is not None and hit.how == "header" else None

    def _flow_of_ends(self, ends: bytes, packet: Frame, memory: mmap.mmap) -> int | None:
        """The same for a segment that is nothing but headers: its addresses and ports tell all."""
        if ends not in self._bare:
            if len(self._bare) >= _TOKENS_REMEMBERED:
                self._bare.clear()
            self._bare[ends] = self._flow_of(packet, memory)
        return self._bare[ends]

    def _count(self, key: _Key, frame: Frame, size: int, messages: int = 1) -> _Passage | None:
        passage = self._passages.get(key)
        if passage is None:
            if len(self._passages) >= _MOST_PASSAGES:
                self._forgotten += 1
                return None
            passage = self._passages[key] = _Passage(frame.seconds)
        if self._gap is not None and frame.seconds - passage.last >= QUIET_SECONDS:
            self._gap(key.flow, key.outgoing, passage.last, frame.seconds)
        passage.frames += max(1, messages)  # a fragment that begins no message is a packet all the same
        passage.bytes += size
        passage.last = frame.seconds
        return passage

    def drain(self, stopped: float) -> None:
        """Read every packet that the kernel took until now; tell of the gaps that last until `stopped`."""
        read_out(self.rings, self.read)
        self._unread = sum(ring.left() for ring in self.rings)
        if self._gap is None:
            return
        for key, passage in self._passages.items():
            if stopped - passage.last >= QUIET_SECONDS:
                self._gap(key.flow, key.outgoing, passage.last, stopped)

    def missed(self) -> int:
        """How many packets were not counted: dropped, cut off, left behind, or of more flows than there is room for."""
        drops = sum(ring.statistics().drops for ring in self.rings)
        cut = self._oversize.count() if self._oversize is not None else 0
        return drops + cut + self._unread + self._forgotten

    def report(self) -> dict[str, Any]:
        """`{device, present, frames, missed, controls, passages}`.

        Each passage is `[flow, outgoing, how, frames, bytes, first, last, numbers]`: `frames` are packets, of which
        each that was merged of several counts for them all; `bytes` are those from a packet's first canary on, without
        one those of a UDP message; `numbers` how many different messages began in them (None: not counted).
        """
        return {
            "device": self.device,
            "present": self.present,
            "frames": sum(ring.taken for ring in self.rings),
            "missed": self.missed(),
            "controls": list(self._controls),
            "passages": [
                [*key, p.frames, p.bytes, p.first, p.last, None if self._gap else len(p.numbers)]
                for key, p in self._passages.items()
            ],
        }

    def close(self) -> None:
        """Free the ring."""
        for ring in self.rings:
            ring.close()
        if self._oversize is not None:
            self._oversize.close()


def _numbers(memory: mmap.mmap, frame: Frame, start: int, token: bytes) -> set[bytes]:
    """The numbers of the messages that begin in a packet whose first canary is at `start`.

    It is one at most, but for what a tun device merged: with UDP segmentation offload messages of one flow that come
    together are one packet, in which each begins with its number. In front of a later fragment's first canary is the
    end of another one.
    """
    numbers, at, merged = set[bytes](), start, udp_payload(memory, frame) > 0
    while at >= 0:
        lead = memory[max(frame.start, at - _NUMBER) : at]
        if lead != token[-_NUMBER:]:
            numbers.add(lead)
        # Within one message a canary follows the other.
        if not merged or memory[at : frame.end] == canary.fill(token, frame.end - at):
            break
        at = _out_of_step(memory, frame, at, token)
    return numbers


def _out_of_step(memory: mmap.mmap, frame: Frame, at: int, token: bytes) -> int:
    """Where the first canary after the one at `at` is that does not follow on another one; -1 for nowhere."""
    while memory[at : at + canary.SIZE] == token:
        at += canary.SIZE
    return memory.find(token, at, frame.end)
