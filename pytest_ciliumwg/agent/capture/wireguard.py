"""Count WireGuard messages on a native device, by direction, addresses and message type."""

from __future__ import annotations

import mmap
import socket
import struct
from collections import Counter
from typing import Any, NamedTuple, Optional, Tuple

from .ciphertext import Samples
from .machines import Machines
from .ring import Filter, Frame, Ring, read_out

SNAP = 288
"""Bytes kept of each frame: all headers, the message type, and enough of the ciphertext for a sample."""
RING_BLOCK, RING_BLOCKS = 65536, 64

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

    The ring keeps only headers; where it overflows, or packets come from too many addresses, counts are lower bounds,
    and `drops` says so.
    """

    def __init__(self, device: str, port: int, machines: Machines) -> None:
        self._port = port
        self._machines = machines
        self.foreign = 0
        """Frames between machines that are no nodes of this cluster, which are not counted."""
        self._ring = Ring(device, RING_BLOCK, RING_BLOCKS, port_filter(port))
        self._alike: dict[tuple[bool, tuple[bytes, ...]], _Found] = {}
        self._messages: Counter[_Message] = Counter()
        self._bytes: Counter[_Message] = Counter()
        self._uncounted = 0
        self._samples = Samples()

    def fileno(self) -> int:
        """For poll."""
        return self._ring.fileno()

    def attach(self) -> None:
        """Count on the device that has the name now."""
        self._ring.attach()

    def take_error(self) -> None:
        """Clear the kernel's error, which would wake poll for ever; the watch's own ring reports it."""
        self._ring.take_error()

    def read(self) -> None:
        """Count what has come since the last call."""
        memory = self._ring.memory
        counts: Counter[_Found] = Counter()
        for count, first, end in self._ring.ready_blocks():
            frames = list(self._ring.frames(count, first, end))
            found_in_block = [self._find(memory, frame) for frame in frames]
            counts.update(found_in_block)
            if frames and found_in_block[-1] is not None:
                self._sample(found_in_block[-1][0], frames[-1])
        for message, count in counts.items():
            if message is not None:
                self._add(message[0], count, message[1] * count)

    def drain(self) -> None:
        """Take no more, and count what the kernel took until now; what stays unread is missing from the counts."""
        read_out([self._ring], self.read)
        self._uncounted += max(0, self._ring.left())

    def _find(self, memory: mmap.mmap, frame: Frame) -> _Found:
        """What a frame is; frames like one before are not taken apart again."""
        start = frame.start
        if frame.overheard and self._machines.are_others(frame, memory[start : min(start + 16, frame.end)]):
            self.foreign += 1
            return None
        if frame.end - start < _ALIKE6.size:
            return _message(memory, frame, self._port)
        form = _ALIKE4 if memory[start + 12] == 8 else _ALIKE6
        key = (frame.outgoing, form.unpack_from(memory, start))
        if key in self._alike:
            return self._alike[key]
        found = _message(memory, frame, self._port)
        if memory[start + 14] == 0x45 if form is _ALIKE4 else memory[start + 20] == _UDP:
            if len(self._alike) >= _ALIKE_REMEMBERED:
                self._alike.clear()
            self._alike[key] = found
        return found

    def _sample(self, message: _Message, frame: Frame) -> None:
        """Keep some of the ciphertext of a data message; of each block one at most."""
        if message.kind == _DATA and not message.keepalive and not message.fragmented:
            data = self._ring.memory[frame.start : frame.end]
            header = _ETHERNET + (40 if len(message.source) == 16 else (data[_ETHERNET] & 15) * 4) + 8
            self._samples.add(message.source, message.destination, data[header:])

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
        return {"messages": rows, "samples": samples, "drops": self._ring.statistics().drops + self._uncounted}

    def close(self) -> None:
        """Free the ring."""
        self._ring.close()


def port_filter(port: int) -> Filter:
    """A classic BPF program: UDP from or to `port`, and every UDP fragment, over IPv4 or IPv6.

    The kernel has taken VLAN tags out before the filter runs.
    """
    ldh, ldb, ldxb, ldh_x = 0x28, 0x30, 0xB1, 0x48
    jeq, jset, ret = 0x15, 0x45, 0x06
    return (
        (ldh, 0, 0, 12),
        (jeq, 0, 9, 0x0800),
        (ldb, 0, 0, 23),
        (jeq, 0, 16, _UDP),
        (ldh, 0, 0, 20),
        (jset, 13, 0, 0x3FFF),
        (ldxb, 0, 0, 14),
        (ldh_x, 0, 0, 14),
        (jeq, 10, 0, port),
        (ldh_x, 0, 0, 16),
        (jeq, 8, 9, port),
        (jeq, 0, 8, 0x86DD),
        (ldb, 0, 0, 20),
        (jeq, 5, 0, _FRAGMENT),
        (jeq, 0, 5, _UDP),
        (ldh, 0, 0, 54),
        (jeq, 2, 0, port),
        (ldh, 0, 0, 56),
        (jeq, 0, 1, port),
        (ret, 0, 0, SNAP),
        (ret, 0, 0, 0),
    )


def _message(memory: mmap.mmap, frame: Frame, port: int) -> tuple[_Message, int] | None:
    """The message that a captured frame begins, with its UDP payload size; None for another port's fragments."""
    data = memory[frame.start : frame.end]
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
    keepalive = kind == _DATA and size == _KEEPALIVE
    return _Message(frame.outgoing, source, destination, kind, keepalive, fragmented), size


def message_kind(head: bytes, size: int) -> int:
    """The message type, 0 where type, reserved bytes and size are not those of a WireGuard message."""
    kind = head[0] if head[1:] == b"\0\0\0" else _OTHER
    if kind == _DATA:
        return kind if size >= _KEEPALIVE else _OTHER
    return kind if _HANDSHAKE_SIZES.get(kind) == size else _OTHER


def address_text(address: bytes) -> str:
    """A packed address of 4 or 16 bytes as people write it."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
