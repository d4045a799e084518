"""An AF_PACKET socket with a TPACKET_V3 ring: the kernel writes frames into blocks of shared memory.

Layouts and numbers are those of Linux' <linux/if_packet.h>.
"""

from __future__ import annotations

import ctypes
import mmap
import socket
import struct
import time
from typing import Callable, Iterator, NamedTuple, Sequence, Tuple

from .needles import Needles

_SOL_PACKET = 263
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_TPACKET_V3 = 2
_SO_ATTACH_FILTER = 26
_ETH_P_ALL = 0x0003
OVERHEARD, OUTGOING = 3, 4
"""Types of packets: to another host's address, and sent by this one."""

_BLOCK_READY = 1
_BLOCK_STATUS = struct.Struct("=I")
_BLOCK_HEADER = struct.Struct("=IIIIII")  # version, offset_to_priv, status, num_pkts, offset_to_first, blk_len
_FRAME_HEADER = struct.Struct("=IIIIIIHHIIH")  # next, sec, nsec, snaplen, len, status, mac, net, hash, tci, tpid
_STATUS_AT = 8
_STEP = struct.Struct("=I")
PACKET_TYPE_AT = 58  # sockaddr_ll.sll_pkttype behind the aligned frame header
_VLAN_VALID = 1 << 4

RETIRE_MS = 100
"""Usually a block that is not full is handed over after so many milliseconds. With few frames the ring lasts for this
time its number of blocks: so long may the reader be kept off the processor before a frame is dropped."""

DRAIN_SECONDS = 5.0
_DRAIN_PAUSE = 0.02

_SPAN = 1 << 18
"""Blocks of so many bytes are handed on together: fewer calls, and the processor's cache still holds them."""

_ROOM = 256
"""Less than so many bytes of a block are headers, the rest can hold a frame."""

Filter = Sequence[Tuple[int, int, int, int]]
"""A classic BPF program: (code, jump if true, jump if false, operand)."""
_DROP = (0x06, 0, 0, 0)
_NOTHING: Filter = (_DROP,)


class Block(NamedTuple):
    """A block that the kernel has handed over: places in the ring's memory."""

    held: int
    """Frames."""
    first: int
    """Where the header of the first one is."""
    end: int


class Frame(NamedTuple):
    """One captured frame within the ring's memory."""

    start: int
    end: int
    length: int
    """Bytes on the wire; more than `end - start` when the ring cut the frame."""
    seconds: float
    outgoing: bool
    vlan: int | None
    """The VLAN tag's TCI that the kernel or the device took out of the frame."""
    overheard: bool = False
    """Whether it was neither sent by this node nor addressed to it."""


class Statistics(NamedTuple):
    """What the kernel counted since the ring was opened."""

    frames: int
    """Frames that reached the socket, dropped ones included."""
    drops: int
    freezes: int


class Ring:
    """The frames of one device, block by block.

    Raises:
        OSError: the device does not exist, CAP_NET_RAW is missing, or the kernel has no memory for the ring.
    """

    def __init__(
        self, device: str, block_size: int, blocks: int, bpf: Filter | None = None, retire_ms: int = RETIRE_MS
    ) -> None:
        self.device = device
        self._block_size = block_size
        self._blocks = blocks
        self.taken = 0
        """Frames in all blocks that `ready_blocks` gave."""
        self._next = 0
        self._frames = self._drops = self._freezes = 0
        # Protocol 0 receives nothing until bind(), so that the first frame meets a complete ring.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self.socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            if bpf is not None:
                _attach(self.socket, bpf)
            request = struct.pack("=7I", block_size, blocks, 2048, block_size // 2048 * blocks, retire_ms, 0, 0)
            self.socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
            self.memory = mmap.mmap(self.socket.fileno(), block_size * blocks)
            self.attach()
        except BaseException:
            self.socket.close()
            raise

    def attach(self) -> None:
        """Take the frames of the device that has the name now; for a device that went and came again."""
        self.socket.bind((self.device, _ETH_P_ALL))

    def take_error(self) -> int:
        """The error number that the kernel holds (ENETDOWN: device down or gone), 0 for none; it is given once."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def fileno(self) -> int:
        """For select and poll."""
        return self.socket.fileno()

    def ready_spans(self) -> Iterator[list[Block]]:
        """Blocks that the kernel has handed over, some that lie next to each other at a time.

        They go back to the kernel when the iteration moves on; at most one round of the ring is given, so that a flood
        cannot keep the caller here.
        """
        left = self._blocks
        while left:
            span = self._ready(min(left, self._blocks - self._next, max(1, _SPAN // self._block_size)))
            if not span:
                return
            self.taken += sum(block.held for block in span)
            yield span
            for _ in span:
                _BLOCK_STATUS.pack_into(self.memory, self._next * self._block_size + _STATUS_AT, 0)
                self._next = (self._next + 1) % self._blocks
            left -= len(span)

    def ready_blocks(self) -> Iterator[Block]:
        """Each block that the kernel has handed over; it goes back some time after the iteration has moved on."""
        for span in self.ready_spans():
            yield from span

    def _ready(self, most: int) -> list[Block]:
        span: list[Block] = []
        for number in range(self._next, self._next + most):
            base = number * self._block_size
            _, _, status, frames, first, used = _BLOCK_HEADER.unpack_from(self.memory, base)
            if not status & _BLOCK_READY:
                break
            span.append(Block(frames, base + first, base + min(used, self._block_size)))
        return span

    def left(self) -> int:
        """How many frames the kernel has counted for the ring that were neither dropped nor given by `ready_blocks`."""
        kernel = self.statistics()
        return kernel.frames - kernel.drops - self.taken

    def frames(self, block: Block) -> Iterator[Frame]:
        """Walk the frames of one block; stops at the first header that leads out of the block."""
        at = block.first
        for _ in range(block.held):
            frame = self._frame(at, block)
            if frame is None:
                return
            yield frame
            (step,) = _STEP.unpack_from(self.memory, at)
            if step == 0:
                return
            at += step

    def all_frames(self, span: Sequence[Block]) -> Iterator[Frame]:
        """The frames of some blocks."""
        for block in span:
            yield from self.frames(block)

    def frames_with(self, needles: Needles, span: Sequence[Block]) -> Iterator[Frame]:
        """The frames of some blocks in which something is that is looked for."""
        first, end = span[0].first, span[-1].end
        needles.look_at(self.memory, first, end)
        for block in span if needles.after(first) < end else ():
            frame_at, at = self.walk(block), needles.after(block.first)
            while at < block.end and (frame := frame_at(at)) is not None:
                if needles.within(frame.start, frame.end):
                    yield frame
                at = needles.after(frame.end)

    def walk(self, block: Block) -> Callable[[int], Frame | None]:
        """Asked for one place after the other, forwards, tells the first frame that ends behind it.

        None where there is none. Frames before it are only stepped over.
        """
        at, memory, step_at = block.first, self.memory, _STEP.unpack_from

        def to(place: int) -> Frame | None:
            nonlocal at
            while block.first <= at <= block.end - _FRAME_HEADER.size:
                (step,) = step_at(memory, at)
                if step and at + step <= place:
                    at += step
                    continue
                frame = self._frame(at, block)
                if frame is None or frame.end > place:
                    return frame
                at = at + step if step else block.end
            return None

        return to

    def _frame(self, at: int, block: Block) -> Frame | None:
        """The frame whose header is at a place; None where that does not lie in the block."""
        if not block.first <= at <= block.end - _FRAME_HEADER.size:
            return None
        _, sec, nsec, kept, length, status, mac, _, _, tci, _ = _FRAME_HEADER.unpack_from(self.memory, at)
        start = at + mac
        if start + kept > block.end:
            return None
        kind = self.memory[at + PACKET_TYPE_AT]
        vlan = tci if status & _VLAN_VALID else None
        outgoing, overheard = kind == OUTGOING, kind == OVERHEARD
        return Frame(start, start + kept, length, sec + nsec / 1e9, outgoing, vlan, overheard)

    def statistics(self) -> Statistics:
        """Counts since the ring was opened (the kernel resets its own at each reading)."""
        raw = self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12)
        frames, drops, freezes = struct.unpack("=III", raw)
        self._frames += frames
        self._drops += drops
        self._freezes += freezes
        return Statistics(self._frames, self._drops, self._freezes)

    def freeze(self) -> None:
        """Take no more frames: what the kernel has counted by now is final, and can be read to the last one."""
        _attach(self.socket, _NOTHING)

    def close(self) -> None:
        """Free the ring."""
        self.memory.close()
        self.socket.close()


def read_out(rings: Sequence[Ring], read: Callable[[], None]) -> None:
    """Take no more frames, and read to the last one that the kernel took until now.

    The last blocks are handed over within the ring's time for that; after DRAIN_SECONDS what is left stays unread.
    """
    for ring in rings:
        ring.freeze()
    deadline = time.monotonic() + DRAIN_SECONDS
    read()
    while any(ring.left() > 0 for ring in rings) and time.monotonic() < deadline:
        time.sleep(_DRAIN_PAUSE)
        read()


class OversizeCounter:
    """Counts the frames of a device that are too large for a ring's blocks; the kernel does all the work."""

    def __init__(self, device: str, block_size: int) -> None:
        self._device = device
        self._frames = 0
        load_length, greater, ret = 0x80, 0x25, 0x06
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            _attach(self._socket, ((load_length, 0, 0, 0), (greater, 0, 1, block_size - _ROOM), (ret, 0, 0, 1), _DROP))
            self.attach()
        except BaseException:
            self._socket.close()
            raise

    def attach(self) -> None:
        """Count on the device that has the name now."""
        self._socket.bind((self._device, _ETH_P_ALL))

    def count(self) -> int:
        """Frames so far (the kernel begins anew at each reading)."""
        frames, _ = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._frames += frames
        return self._frames

    def close(self) -> None:
        """End counting."""
        self._socket.close()


def _attach(sock: socket.socket, bpf: Filter) -> None:
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in bpf)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(bpf), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
