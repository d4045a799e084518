"""Canaries: what a payload of ours looks like, and how to read one back from any bytes.

A canary is 16 bytes: a random prefix (8), the flow's number (4), what it marks (1) and a checksum over all that (3).
A payload repeats it without a gap, so that any 31 bytes in a row hold a whole one, wherever a TCP segment or an IP
fragment was cut.

Control canaries, and flows that nobody promised to encrypt, cross the network in cleartext; whoever reads them must
not be able to make others. So the checksum is keyed, and the prefix of flows that must be encrypted is another one, of
which these show only the first half.
"""

from __future__ import annotations

import hashlib
import struct

PREFIX_SIZE = 8
SIZE = 16
WHOLE_WITHIN = 2 * SIZE - 1
"""Any run of so many payload bytes holds a whole canary."""
SECRET_SIZE = 32
_COMMON = 4

REQUEST, REPLY, CONTROL = 0, 1, 2


class Canaries:
    """The canaries of one run, made and read with its secret.

    `common` begins both `prefixes`, so that one search finds either; `secret` and `public` are their other halves.
    """

    def __init__(self, common: bytes, secret: bytes, public: bytes, key: bytes) -> None:
        self.common = common
        self.prefix, self.public_prefix = common + secret, common + public
        self.prefixes = (self.prefix, self.public_prefix)
        self._key = key

    @classmethod
    def of(cls, secret: bytes) -> Canaries:
        """The canaries that follow from a run's random secret."""
        parts = hashlib.blake2s(secret, person=b"canaries").digest()
        return cls(parts[:4], parts[4:8], parts[8:12], parts[16:])

    def make(self, number: int, mark: int, *, public: bool = False) -> bytes:
        """The canary of a flow's requests or replies, or of a control frame; `number` is below 2**32.

        `public` is for flows that may be in cleartext; control canaries always are.
        """
        body = (self.public_prefix if public or mark == CONTROL else self.prefix) + struct.pack(">IB", number, mark)
        return body + self._checksum(body)

    def read(self, data: bytes, at: int = 0) -> tuple[int, int] | None:
        """Number and mark of the canary that starts at `at`; None when there is no whole, true one."""
        body, check = data[at : at + SIZE - 3], data[at + SIZE - 3 : at + SIZE]
        if len(check) != 3 or self._checksum(body) != check:
            return None
        number, mark = struct.unpack_from(">IB", body, PREFIX_SIZE)
        prefixes = (self.public_prefix,) if mark == CONTROL else self.prefixes
        return (number, mark) if mark in (REQUEST, REPLY, CONTROL) and body.startswith(prefixes) else None

    def _checksum(self, body: bytes) -> bytes:
        return hashlib.blake2s(body, key=self._key, digest_size=3).digest()


def fill(canary: bytes, size: int) -> bytes:
    """`size` bytes of the canary, repeated and cut."""
    return (canary * (size // SIZE + 1))[:size]
