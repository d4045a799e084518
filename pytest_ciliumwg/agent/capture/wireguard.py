"""Count WireGuard messages on a native device, by direction, addresses and message type."""

from __future__ import annotations

import mmap
import socket
import struct
from collections import Counter
from itertools import islice
from typing import Any, NamedTuple, Optional, Tuple

from .ciphertext import Samples
from .data_messages import RING_BLOCK as DATA_BLOCK
from .data_messages import RING_BLOCKS as DATA_BLOCKS
from .data_messages import SNAP as DATA_SNAP
from .data_messages import counted_in
from .link_layer import has_ethernet, with_ethernet
from .machines import Machines
from .ring import RETIRE_MS, Block, Frame, Ring, read_out
from .wireguard_filter import data_filter, others_filter, packet_filter

SNAP = 128
"""Bytes kept of each frame: all headers, and the message type."""
RING_BLOCK, RING_BLOCKS = 1 << 13, 128

_FEW, _LOOKED_AT = 64, 4
"""In a block of so many frames or more, so many are looked at for a sample."""

_ETHERNET = 14
_UDP = 17
_FRAGMENT = 44
_OTHER, _DATA = 0, 4
_HANDSHAKE_SIZES = {1: 148, 2: 92, 3: 64}
_KEEPALIVE = 32

_ALIKE4 = struct.Struct("=12x3s5x2sxs2x14s2x4s")
_ALIKE6 = struct.Struct("=12x2s6xsx38s2x4s")
"""Of a frame, all that it is counted by, without what differs from packet to packet (identification, TTL, checksums):
for IPv4 without options, and for IPv6 without extension headers."""
_ALIKE_REMEMBERED = 1024
_MOST_MESSAGES = 4096


class _Message(NamedTuple):
    """What messages are counted by."""

    outgoing: bool
    source: bytes
    destination: bytes
    kind: int
    """1 initiation, 2 response, 3 cookie reply, 4 data, 0 anything without WireGuard's framing."""
    keepalive: bool
    fragmented: bool


_Found = Optional[Tuple[_Message, int]]


class MessageCounter:
    """Counts the WireGuard messages of one device as they come by.

    Data messages are counted many at a time, all others one by one; without Ethernet headers all of them. Their rings
    keep only headers; where one overflows, or packets come from too many addresses, counts are lower bounds, and
    `drops` says so.
    """

    def __init__(self, device: str, port: int, machines: Machines, retire_ms: int = RETIRE_MS) -> None:
        self._port = port
        self._machines = machines
        self.foreign = 0
        """Frames between machines that are no nodes of this cluster, which are not counted."""
        self._alike: dict[tuple[bool, tuple[bytes, ...]], _Found] = {}
        self._messages: Counter[_Message] = Counter()
        self._bytes: Counter[_Message] = Counter()
        self._uncounted = 0
        self._samples = Samples()
        self._ethernet = has_ethernet(device)
        self._data: Ring | None = None
        if not self._ethernet:
            self._others = Ring(device, DATA_BLOCK, DATA_BLOCKS, packet_filter(port, SNAP), retire_ms)
            return
        self._data = Ring(device, DATA_BLOCK, DATA_BLOCKS, data_filter(port, DATA_SNAP), retire_ms)
        try:
            self._others = Ring(device, RING_BLOCK, RING_BLOCKS, others_filter(port, SNAP), retire_ms)
        except BaseException:
            self._data.close()
            raise

    @property
    def rings(self) -> list[Ring]:
        """The rings to poll."""
        return [self._others] if self._data is None else [self._data, self._others]

    def attach(self) -> None:
        """Count on the device that has the name now."""
        for ring in self.rings:
            ring.attach()

    def take_error(self) -> None:
        """Clear the kernel's errors, which would wake poll for ever; the watch's own ring reports them."""
        for ring in self.rings:
            ring.take_error()

    def read(self) -> None:
        """Count what has come since the last call."""
        if self._data is not None:
            self._read_data(self._data)
        for block in self._others.ready_blocks():
            self._walk(self._others, block)

    def _read_data(self, ring: Ring) -> None:
        for block in ring.ready_blocks():
            counted = counted_in(ring, block)
            if counted is None:
                self._walk(ring, block)
                continue
            for way in counted:
                message = _Message(way.outgoing, way.source, way.destination, _DATA, False, False)
                self._add(message, way.messages, way.bytes)

    def _walk(self, ring: Ring, block: Block) -> None:
        """Count the messages of a block one by one."""
        for found, count in Counter(self._find(ring.memory, frame) for frame in ring.frames(block)).items():
            if found is not None:
                self._add(found[0], count, found[1] * count)

    def drain(self) -> None:
        """Take no more, and count what the kernel took until now; what stays unread is missing from the counts."""
        read_out(self.rings, self.read)
        self._uncounted += sum(max(0, ring.left()) for ring in self.rings)

    def sample(self, ring: Ring, block: Block) -> None:
        """Keep some of the ciphertext of the first data message among the first whole frames of a block."""
        for frame in islice(ring.frames(block), None if block.held < _FEW else _LOOKED_AT):
            if frame.overheard or frame.end - frame.start < _ALIKE6.size:
                continue
            whole = self._whole(ring.memory, frame, frame.end)
            found = _message(whole[:SNAP], frame.outgoing, self._port)
            if found is not None and found[0].kind == _DATA and not (found[0].keepalive or found[0].fragmented):
                message = found[0]
                header = _ETHERNET + (40 if len(message.source) == 16 else (whole[14] & 15) * 4) + 8
                self._samples.add(message.source, message.destination, whole[header:])
                return

    def _find(self, memory: mmap.mmap, frame: Frame) -> _Found:
        """What a frame is; frames like one before are not taken apart again."""
        start = frame.start
        if frame.overheard and self._machines.are_others(frame, memory[start : min(start + 16, frame.end)]):
            self.foreign += 1
            return None
        if not self._ethernet or frame.end - start < _ALIKE6.size:
            return self._read_head(memory, frame)
        form = _ALIKE4 if memory[start + 12] == 8 else _ALIKE6
        key = (frame.outgoing, form.unpack_from(memory, start))
        if key in self._alike:
            return self._alike[key]
        found = self._read_head(memory, frame)
        if memory[start + 14] == 0x45 if form is _ALIKE4 else memory[start + 20] == _UDP:
            if len(self._alike) >= _ALIKE_REMEMBERED:
                self._alike.clear()
            self._alike[key] = found
        return found

    def _read_head(self, memory: mmap.mmap, frame: Frame) -> _Found:
        return _message(self._whole(memory, frame, frame.start + SNAP), frame.outgoing, self._port)

    def _whole(self, memory: mmap.mmap, frame: Frame, most: int) -> bytes:
        """A frame up to a place, with an Ethernet header."""
        data = memory[frame.start : min(frame.end, most)]
        return data if self._ethernet else with_ethernet(data)

    def _add(self, message: _Message, count: int, size: int) -> None:
        if message in self._messages or len(self._messages) < _MOST_MESSAGES:
            self._messages[message] += count
            self._bytes[message] += size
        else:
            self._uncounted += count

    def result(self) -> dict[str, Any]:
        """`{messages: [{outgoing, source, destination, kind, keepalive, fragmented, count, bytes}], samples, drops}`.

        `samples` are `[{source, destination, sampled, periodic, repeated}]`, as `Samples.rows` tells.
        """
        rows: list[dict[str, Any]] = []
        for message, count in self._messages.items():
            row: dict[str, Any] = dict(message._asdict())
            row["source"], row["destination"] = address_text(message.source), address_text(message.destination)
            row["count"], row["bytes"] = count, self._bytes[message]
            rows.append(row)
        samples = [
            dict(row, source=address_text(row["source"]), destination=address_text(row["destination"]))
            for row in self._samples.rows()
        ]
        drops = sum(ring.statistics().drops for ring in self.rings)
        return {"messages": rows, "samples": samples, "drops": drops + self._uncounted}

    def close(self) -> None:
        """Free the rings."""
        for ring in self.rings:
            ring.close()


def _message(data: bytes, outgoing: bool, port: int) -> tuple[_Message, int] | None:
    """The message that a captured frame begins, with its UDP payload size; None for another port's fragments."""
    if len(data) < _ETHERNET + 28:
        return None
    if data[12:14] == b"\x08\x00":
        if data[_ETHERNET] & 15 < 5:
            return None
        udp = _ETHERNET + (data[_ETHERNET] & 15) * 4
        flags = struct.unpack_from(">H", data, 20)[0]
        fragmented, later = bool(flags & 0x3FFF), bool(flags & 0x1FFF)
        source, destination = data[26:30], data[30:34]
    else:
        fragmented = data[20] == _FRAGMENT
        udp = 62 if fragmented else 54
        if len(data) < udp + 12:
            return None
        later = fragmented and bool(struct.unpack_from(">H", data, 56)[0] & 0xFFF8)
        source, destination = data[22:38], data[38:54]
    if later or len(data) < udp + 12:
        return None
    from_port, to_port, size = struct.unpack_from(">HHH", data, udp)
    if port not in (from_port, to_port):
        return None
    size -= 8
    kind = message_kind(data[udp + 8 : udp + 12], size)
    if kind == _OTHER and to_port != port:
        return None  # others have it as their source port by chance: tunnels by a hash, clients, what was translated
    keepalive = kind == _DATA and size == _KEEPALIVE
    return _Message(outgoing, source, destination, kind, keepalive, fragmented), size


def message_kind(head: bytes, size: int) -> int:
    """The message type, 0 where type, reserved bytes and size are not those of a WireGuard message."""
    kind = head[0] if head[1:] == b"\0\0\0" else _OTHER
    if kind == _DATA:
        return kind if size >= _KEEPALIVE else _OTHER
    return kind if _HANDSHAKE_SIZES.get(kind) == size else _OTHER


def address_text(address: bytes) -> str:
    """A packed address of 4 or 16 bytes as people write it."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
