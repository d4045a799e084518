"""Count WireGuard's data messages, many at a time: they are nearly all that two nodes send each other.

The kernel cuts each to the same few bytes, so that all records of a block are alike in size and can be counted without
walking from one to the next.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Iterator, NamedTuple

from .ring import OUTGOING, OVERHEARD, PACKET_TYPE_AT, Block, Ring

SNAP = 66
"""Bytes kept of each: Ethernet, IPv6 and UDP headers, and the message's type."""
RING_BLOCK, RING_BLOCKS = 1 << 15, 128
_MAC = struct.Struct("=24xH")
_ALIGNED = 8
_ETHERTYPE = 12
_UDP = 8


class Counted(NamedTuple):
    """Messages that go the same way."""

    outgoing: bool
    source: bytes
    destination: bytes
    messages: int
    bytes: int
    """Of UDP payload, all together."""


class _Form(NamedTuple):
    """Where in a frame what is: both addresses, one behind the other, and the length of the UDP datagram."""

    ends: int
    size: int
    """Of one address."""
    length: int


_FORMS = {b"\x08\x00": _Form(26, 4, 38), b"\x86\xdd": _Form(22, 16, 58)}


def counted_in(ring: Ring, block: Block) -> list[Counted] | None:
    """What messages a block holds; None where it has to be walked.

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
    return list(_counted(records, size, mac, _FORMS[kind]))


def _counted(records: bytes, size: int, mac: int, form: _Form) -> Iterator[Counted]:
    """The messages of records in which frames begin at `mac`; only bytes that differ are looked at one by one."""
    source, length = mac + form.ends, mac + form.length
    destination, behind = source + form.size, source + 2 * form.size
    held, one = len(records) // size, bytearray(records[:size])
    columns = {place: records[place::size] for place in (PACKET_TYPE_AT, *range(source, behind))}
    differing = {place: column for place, column in columns.items() if column.count(column[0]) != held}
    high, low = records[length::size], records[length + 1 :: size]

    def counted(count: int, total: int) -> Counted:
        outgoing = one[PACKET_TYPE_AT] == OUTGOING
        ends = bytes(one[source:destination]), bytes(one[destination:behind])
        return Counted(outgoing, *ends, count, total - _UDP * count)

    if not differing:
        yield counted(held, 256 * sum(high) + sum(low))
        return
    for (*values, upper, lower), count in Counter(zip(*differing.values(), high, low)).items():
        for place, value in zip(differing, values):
            one[place] = value
        yield counted(count, count * (256 * upper + lower))
