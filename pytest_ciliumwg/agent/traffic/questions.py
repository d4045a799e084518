"""Questions to a DNS server, in place of messages to a server of ours.

Each asks for a name of which the first label is a message: its number, then canaries. There is no such name, so the
answer is short, and it repeats the question: both ways show the canary. A label may hold any bytes (RFC 2181, 11).
"""

from __future__ import annotations

import struct

from . import payload

LABEL = 63
"""Bytes of the longest label."""
_HEADER = struct.Struct(">HHHHHH")
_RECURSE, _IS_ANSWER = 0x0100, 0x8000
_A, _IN = 1, 1
_ENDS = struct.pack(">HH", _A, _IN)


class Questions:
    """The questions of one flow; the same methods as `payload.Messages`."""

    def __init__(self, token: bytes, domain: str) -> None:
        self._token = token
        labels = [label.encode() for label in domain.split(".") if label]
        self._domain = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"

    def datagram(self, number: int) -> bytes:
        """A question, with the number as its id."""
        label = payload.datagram(number, self._token, LABEL)
        return _HEADER.pack(number & 0xFFFF, _RECURSE, 1, 0, 0, 0) + bytes([LABEL]) + label + self._domain + _ENDS

    def number_of(self, data: bytes) -> int:
        """The number of the question that this answers.

        Raises:
            ValueError: it answers none of ours.
        """
        number, flags = struct.unpack_from(">HH", data) if len(data) >= _HEADER.size else (0, 0)
        question = self.datagram(number)[_HEADER.size :]
        if not flags & _IS_ANSWER or data[_HEADER.size : _HEADER.size + len(question)] != question:
            raise ValueError("an answer to a question that is none of ours")
        return int(number)

    def message(self, number: int) -> bytes:
        """A question as TCP carries it: its length stands before it."""
        question = self.datagram(number)
        return struct.pack(">H", len(question)) + question

    def next_message(self, buffer: bytearray) -> tuple[int, int] | None:
        """Take the first whole answer off a stream's buffer: (number, size), or None while it is incomplete.

        Raises:
            ValueError: it answers none of our questions.
        """
        size = int.from_bytes(buffer[:2], "big")
        if len(buffer) < 2 or len(buffer) < 2 + size:
            return None
        data = bytes(buffer[2 : 2 + size])
        del buffer[: 2 + size]
        return self.number_of(data), size
