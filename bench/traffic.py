"""Send frames of a kind out of a device, at a rate: for benches, in a process of its own."""

from __future__ import annotations

import ctypes
import os
import random
import socket
import struct
import sys
import time

SIZES = {"128": (128,), "1400": (1400,), "imix": (64,) * 7 + (594,) * 4 + (1400,)}
"""Bytes of the frames of each kind; the last is the usual mix of the Internet."""
MAC = bytes.fromhex("020000000001")
PORT = 51871
_POOL, _AT_ONCE = 1024, 64
_SMALLEST = {False: 64, True: 96}


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


def frames(kind: str, *, wireguard: bool) -> list[bytes]:
    """UDP frames with random payloads, as ciphertext is; of WireGuard's data messages the same."""
    dice = random.Random(1)  # noqa: S311 - frames, not keys
    sizes = SIZES[kind]
    return [_frame(dice, max(_SMALLEST[wireguard], sizes[n % len(sizes)]), wireguard=wireguard) for n in range(_POOL)]


def _frame(dice: random.Random, size: int, *, wireguard: bool) -> bytes:
    ports = (PORT, PORT) if wireguard else (dice.randrange(1024, 50000), 9999)
    addresses = socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2")
    ip = struct.pack(">BBHHHBBH", 0x45, 0, size - 14, dice.randrange(65536), 0, 64, 17, 0) + addresses
    udp = struct.pack(">HHHH", *ports, size - 34, 0)
    payload = dice.randbytes(size - 42)
    return MAC + b"\x02\0\0\0\0\x02\x08\0" + ip + udp + (b"\4\0\0\0" + payload[4:] if wireguard else payload)


def send(device: str, pool: list[bytes], count: int, rate: float) -> None:
    """Send frames of the pool in turn, so many a second (0: as fast as one process can)."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffers = [ctypes.create_string_buffer(frame, len(frame)) for frame in pool]
    vectors = [_Vector(ctypes.addressof(buffer), len(frame)) for buffer, frame in zip(buffers, pool, strict=True)]
    messages = (_Message * len(pool))(
        *(_Message(_Header(vectors=ctypes.pointer(vector), vector_count=1)) for vector in vectors)
    )
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        due, sent = time.monotonic(), 0
        while sent < count:
            first = ctypes.byref(messages, sent % len(pool) // _AT_ONCE * _AT_ONCE * ctypes.sizeof(_Message))
            done = libc.sendmmsg(sock.fileno(), first, _AT_ONCE, 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            sent += done
            if rate:
                # What was held up is not caught up with: nobody is to be flooded because this was not run.
                due = max(due + done / rate, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    device_, kind_, wireguard_, count_, rate_ = sys.argv[1:]
    send(device_, frames(kind_, wireguard=wireguard_ == "wireguard"), int(count_), float(rate_))
