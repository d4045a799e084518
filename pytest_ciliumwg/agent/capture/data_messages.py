"""Count WireGuard's data messages, many at a time: they are nearly all that two nodes send each other.

The kernel cuts each to the same few bytes, so that all records of a block are alike in size and can be counted without
walking from one to the next.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Iterator, NamedTuple, Sequence

from .ring import OUTGOING, OVERHEARD, PACKET_TYPE_AT, Block, Ring

SNAP = 66
"""Bytes kept of each: Ethernet, IPv6 and UDP headers, and the message's type."""
RING_BLOCK, RING_BLOCKS = 1 << 15, 128
_MAC = struct.Struct("=24xH")
_ALIGNED = 8
_ETHERTYPE = 12
_UDP = 8


class Sort(NamedTuple):
    """What messages have in common that are counted together."""

    outgoing: bool
    source: bytes
    destination: bytes
    size: int
    """Bytes of UDP payload."""


class _Form(NamedTuple):
    """Where in a frame what is: both addresses, one behind the other, and the length of the UDP datagram."""

    ends: int
    size: int
    """Of one address."""
    length: int

    def places(self, mac: int) -> list[int]:
        """Of a record in which the frame begins at `mac`, the bytes by which messages are told apart."""
        ends, length = mac + self.ends, mac + self.length
        return [PACKET_TYPE_AT, *range(ends, ends + 2 * self.size), length, length + 1]

    def sort(self, record: bytes, mac: int) -> Sort:
        """What a message is counted by."""
        source = mac + self.ends
        destination, length = source + self.size, mac + self.length
        return Sort(
            record[PACKET_TYPE_AT] == OUTGOING,
            record[source:destination],
            record[destination : destination + self.size],
            int.from_bytes(record[length : length + 2], "big") - _UDP,
        )


_FORMS = {b"\x08\x00": _Form(26, 4, 38), b"\x86\xdd": _Form(22, 16, 58)}


def sorts_in(ring: Ring, block: Block) -> Iterator[tuple[Sort, int]] | None:
    """How many messages of each sort a block holds; None where the block has to be walked.

    That is where records differ in size or family, or frames were overheard, of which the machines decide.
    """
    if not block.held:
        return None
    (mac,) = _MAC.unpack_from(ring.memory, block.first)
    size = -(-(mac + SNAP) // _ALIGNED) * _ALIGNED
    if block.first + block.held * size != block.end:
        return None
    records = ring.memory[block.first : block.end]
    at = mac + _ETHERTYPE
    kind = records[at : at + 2]
    alike = all(records[at + byte :: size].count(kind[byte]) == block.held for byte in (0, 1))
    if not alike or kind not in _FORMS or OVERHEARD in records[PACKET_TYPE_AT::size]:
        return None
    form = _FORMS[kind]
    return ((form.sort(record, mac), count) for record, count in _counted(records, size, form.places(mac)))


def _counted(records: bytes, size: int, places: Sequence[int]) -> Iterator[tuple[bytes, int]]:
    """Records that are alike at some places: one of them, and how many there are.

    Only places at which not all records are alike are looked at record by record.
    """
    held = len(records) // size
    differing: dict[int, bytes] = {}
    for place in places:
        column = records[place::size]
        if column.count(column[0]) != held:
            differing[place] = column
    one = bytearray(records[:size])
    if not differing:
        yield bytes(one), held
        return
    for values, count in Counter(zip(*differing.values())).items():
        for place, value in zip(differing, values):
            one[place] = value
        yield bytes(one), count
