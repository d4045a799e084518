"""Canaries: what a payload of ours looks like, and how to read one back from any bytes.

A canary is 16 bytes: the run's random prefix (8), the flow's number (4), what it marks (1) and a checksum over all
that (3). A payload repeats it without a gap, so that any 31 bytes in a row hold a whole one, wherever a TCP segment
or an IP fragment was cut.
"""

from __future__ import annotations

import hashlib
import struct

PREFIX_SIZE = 8
SIZE = 16
WHOLE_WITHIN = 2 * SIZE - 1
"""Any run of so many payload bytes holds a whole canary."""

REQUEST, REPLY, CONTROL = 0, 1, 2


def make(prefix: bytes, number: int, mark: int) -> bytes:
    """The canary of a flow's requests or replies, or of a control frame; `number` is below 2**32."""
    body = prefix + struct.pack(">IB", number, mark)
    return body + _checksum(body)


def read(data: bytes, at: int = 0) -> tuple[int, int] | None:
    """Number and mark of the canary that starts at `at`; None when there is no whole, true one."""
    body, check = data[at : at + SIZE - 3], data[at + SIZE - 3 : at + SIZE]
    if len(check) != 3 or _checksum(body) != check:
        return None
    number, mark = struct.unpack_from(">IB", body, PREFIX_SIZE)
    return (number, mark) if mark in (REQUEST, REPLY, CONTROL) else None


def fill(canary: bytes, size: int) -> bytes:
    """`size` bytes of the canary, repeated and cut."""
    return (canary * (size // SIZE + 1))[:size]


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2s(body, digest_size=3).digest()
