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


class Messages:
    """The messages of one flow, of one size."""

    def __init__(self, token: bytes, size: int) -> None:
        self._token = token
        self._size = size

    def datagram(self, number: int) -> bytes:
        """A message as a datagram."""
        return datagram(number, self._token, self._size)

    def number_of(self, data: bytes) -> int:
        """The number of the message that this answers."""
        return number_of(data)

    def message(self, number: int) -> bytes:
        """A message in a TCP stream."""
        return message(number, self._token, self._size)

    def next_message(self, buffer: bytearray) -> tuple[int, int] | None:
        """Take the first whole answer off a stream's buffer; see the function of this name."""
        return next_message(buffer, LARGEST_MESSAGE)


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
