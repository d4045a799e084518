"""What a message of a flow looks like on the wire, for sender and server alike.

A message is its number, then canaries without a gap: so any cut of it that is long enough shows a whole canary.
"""

from __future__ import annotations

import struct

from .. import canary

LARGEST_MESSAGE = 1 << 20
"""In a TCP stream; a larger one is none of ours."""
_NUMBER = struct.Struct(">I")
_TCP_HEADER = struct.Struct(">II")


def datagram(number: int, token: bytes, size: int) -> bytes:
    """`size` bytes: the number (its last byte alone where there is no room for four) and canaries."""
    if size < _NUMBER.size:
        return bytes([number & 0xFF]) * size
    return _NUMBER.pack(number) + canary.fill(token, size - _NUMBER.size)


def number_of(data: bytes) -> int:
    """The number that a datagram carries."""
    return _NUMBER.unpack_from(data)[0] if len(data) >= _NUMBER.size else data[0] if data else 0


def message(number: int, token: bytes, size: int) -> bytes:
    """A TCP message of `size` bytes (at least 8): size, number, canaries."""
    return _TCP_HEADER.pack(size, number) + canary.fill(token, size - _TCP_HEADER.size)


def next_message(buffer: bytearray, largest: int) -> tuple[int, int] | None:
    """Take the first whole message off a stream's buffer: (number, size), or None while it is incomplete.

    Raises:
        ValueError: the stream holds something that no flow of ours sends.
    """
    if len(buffer) < _TCP_HEADER.size:
        return None
    size, number = _TCP_HEADER.unpack_from(buffer)
    if not _TCP_HEADER.size <= size <= largest:
        raise ValueError(f"a message of {size} bytes in the TCP stream")
    if len(buffer) < size:
        return None
    del buffer[:size]
    return number, size
