"""A bounded sample of WireGuard data messages, and what in them cannot be ChaCha20-Poly1305.

Test payloads repeat every 16 bytes, and the messages of a flow are alike. A cipher that shows a period of 16 bytes, or
the same bytes under two counters, hides neither. Nothing is decrypted, and no ciphertext leaves this process.
"""

from __future__ import annotations

from typing import Any

SAMPLE_BYTES = 192
_MOST_OF_PAIR, _MOST_PAIRS = 24, 256
_PERIOD = 16
_HEADER = 16
"""Of a data message: type, receiver, counter."""
_ALIKE = 1 / 4
"""So large a part of equal bytes is no accident: of random ones it is 1/256."""


class _OfPair:
    """The sample of one source and destination."""

    def __init__(self) -> None:
        self.texts: dict[bytes, bytes] = {}
        """Receiver index and counter → the first bytes of the ciphertext."""
        self.periodic = self.repeated = 0

    def add(self, number: bytes, text: bytes) -> None:
        if len(self.texts) >= _MOST_OF_PAIR or number in self.texts:
            return
        self.periodic += _alike(text[:-_PERIOD], text[_PERIOD:])
        self.repeated += any(_alike(text, earlier) for earlier in self.texts.values())
        self.texts[number] = text


class Samples:
    """Data messages by source and destination, a few of each."""

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, bytes], _OfPair] = {}

    def add(self, source: bytes, destination: bytes, message: bytes) -> None:
        """Keep a data message, from its type on, if there is room and enough of it."""
        pair = (source, destination)
        if len(message) < _HEADER + SAMPLE_BYTES or (pair not in self._kept and len(self._kept) >= _MOST_PAIRS):
            return
        of_pair = self._kept.setdefault(pair, _OfPair())
        of_pair.add(message[4:_HEADER], message[_HEADER : _HEADER + SAMPLE_BYTES])

    def rows(self) -> list[dict[str, Any]]:
        """For each pair `{source, destination, sampled, periodic, repeated}`; addresses are packed.

        `periodic` counts messages that repeat themselves every 16 bytes, `repeated` messages that are like an earlier
        one with another counter.
        """
        return [
            {
                "source": source,
                "destination": destination,
                "sampled": len(of_pair.texts),
                "periodic": of_pair.periodic,
                "repeated": of_pair.repeated,
            }
            for (source, destination), of_pair in self._kept.items()
        ]


def _alike(one: bytes, other: bytes) -> bool:
    equal = sum(a == b for a, b in zip(one, other))
    return equal > len(one) * _ALIKE
