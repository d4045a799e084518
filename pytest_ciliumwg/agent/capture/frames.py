"""Find our flows in a raw frame, however deep they are wrapped.

A canary is looked for in every byte. A frame that cannot hold one (SYN, FIN, RST, one byte of payload, the tail of a
fragmented packet) is known by a test pod's address in a true IP header, at any offset: behind VLAN tags, VXLAN, Geneve
with options, IPv6 extension headers, or an address translation that left one side as it was.
"""

from __future__ import annotations

import struct
from typing import AbstractSet, Iterator, NamedTuple, Sequence

from .. import canary
from .ipv6 import behind_extensions
from .quotes import quotes_headers_alone

ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
_MOST_EXTENSIONS = 16
_FRAGMENTS_REMEMBERED = 4096

UNKNOWN_FLOW = -1
"""A sighting that is ours for certain, but of which flow cannot be told."""


class Hit(NamedTuple):
    """One frame of ours in cleartext."""

    flow: int
    mark: int
    """canary.REQUEST, REPLY or CONTROL."""
    how: str
    """`canary`, `header`, or `quoted`: a header of ours within an ICMP error, and nothing behind it."""


class _Packet(NamedTuple):
    """The IP header found at some depth of a frame."""

    source: bytes
    destination: bytes
    protocol: int
    identification: tuple[bytes, bytes, bytes]
    payload: int
    """Where the transport header starts, or the fragment's data."""
    first: bool
    """Whether the transport header is here: not the second or later fragment."""
    fragmented: bool
    start: int
    """Where the IP header is."""
    unchecked: bool = False
    """An IPv4 header whose checksum is not filled in yet: only both ends of a flow make it one."""


class FlowIndex:
    """The flows of a watch, prepared for searching.

    `flows` are rows of (id, IP protocol number, source, destination, port), addresses packed, port being the server's
    port or the ICMP identifier. `exclusive` are the addresses that nobody but our flows uses, also those of which no
    row tells (None: all addresses of the rows); only these are looked for in frames without a canary. `searched` are
    those of them that bring a frame to be looked at (None: all): every frame between two nodes has an address of a pod
    on either, so each node's watch needs its own pods' only.
    """

    def __init__(
        self,
        canaries: canary.Canaries,
        flows: Sequence[tuple[int, int, bytes, bytes, int]],
        exclusive: AbstractSet[bytes] | None = None,
        searched: AbstractSet[bytes] | None = None,
    ) -> None:
        self.canaries = canaries
        self._by_port: dict[tuple[int, int], list[tuple[int, bytes, bytes]]] = {}
        self._pairs: dict[tuple[bytes, bytes, int], int] = {}
        self._fragments: dict[tuple[bytes, bytes, bytes], Hit] = {}
        used = {address for _, _, source, destination, _ in flows for address in (source, destination)}
        self._addresses = frozenset(used if exclusive is None else exclusive)
        self._ends = used | self._addresses
        for flow, protocol, source, destination, port in flows:
            self._by_port.setdefault((protocol, port), []).append((flow, source, destination))
            if source in self._addresses and destination in self._addresses:
                # With several flows between two addresses, the addresses alone do not tell whose a frame is.
                only = (source, destination, protocol) not in self._pairs
                self._pairs[source, destination, protocol] = flow if only else UNKNOWN_FLOW
        self.strings = frozenset(canaries.prefixes) | (self._addresses if searched is None else searched)
        """What is looked for in memory: a frame without any of them holds nothing of ours."""

    def find(self, frame: bytes) -> Hit | None:
        """The first of `find_all`; None when nothing of ours is in the frame."""
        return next(iter(self.find_all(frame)), None)

    def find_all(self, frame: bytes) -> list[Hit]:
        """All that a frame shows of ours: each flow whose canary or header is in it, then the control canaries."""
        marked, partial = self._canaries(frame)
        controls = [Hit(number, mark, "canary") for number, mark in marked if mark == canary.CONTROL]
        of_flows = [(number, mark) for number, mark in marked if mark != canary.CONTROL]
        # Nodes' own addresses make nothing ours; of what is ours by its canary they tell the direction.
        by_header = self._header(frame, self._ends if of_flows else self._addresses)
        flows = [self._hit(number, mark, by_header) for number, mark in of_flows]
        if not flows and by_header is not None:
            flows = [by_header]
        if not flows and not controls and partial:
            # A prefix of ours without a whole canary behind it is a flow's tail, of which no header says whose.
            flows = [Hit(UNKNOWN_FLOW, canary.REQUEST, "canary")]
        return [*dict.fromkeys(flows), *controls]

    @staticmethod
    def _hit(flow: int, mark: int, by_header: Hit | None) -> Hit:
        # The kernel answers ICMP with the payload of the request: there, only the header tells the direction.
        same_flow = by_header is not None and by_header.flow == flow
        return Hit(flow, by_header.mark if same_flow and by_header is not None else mark, "canary")

    def _canaries(self, frame: bytes) -> tuple[list[tuple[int, int]], bool]:
        """The different canaries in a frame, and whether the prefix of encrypted flows is in it at all."""
        candidates: dict[bytes, None] = {}
        at = frame.find(self.canaries.common)
        while at >= 0:
            candidates[frame[at : at + canary.SIZE]] = None
            at = frame.find(self.canaries.common, at + 1)
        found = (self.canaries.read(candidate) for candidate in candidates)
        partial = any(candidate.startswith(self.canaries.prefix) for candidate in candidates)
        return [marked for marked in found if marked is not None], partial

    def _header(self, frame: bytes, addresses: AbstractSet[bytes]) -> Hit | None:
        hits: list[Hit] = []
        for packet in _packets(frame, addresses):
            if packet.unchecked and not (packet.source in self._ends and packet.destination in self._ends):
                continue
            hit = self._match(frame, packet)
            if hit is None:
                continue
            if quotes_headers_alone(frame, packet.start, packet.protocol, packet.payload, packet.first):
                hit = hit._replace(how="quoted")
            hits.append(hit)
        return min(hits, key=lambda hit: (hit.how == "quoted", hit.flow == UNKNOWN_FLOW), default=None)

    def _match(self, frame: bytes, packet: _Packet) -> Hit | None:
        if not packet.first:
            known = self._fragments.get(packet.identification)
            return known or self._by_pair(packet)
        hit = self._by_transport(frame, packet)
        if hit is not None and packet.fragmented:
            if len(self._fragments) > _FRAGMENTS_REMEMBERED:
                self._fragments.clear()
            self._fragments[packet.identification] = hit
        return hit or self._by_pair(packet)

    def _by_transport(self, frame: bytes, packet: _Packet) -> Hit | None:
        if len(frame) < packet.payload + 8:
            return None
        one, two = struct.unpack_from(">HH", frame, packet.payload)
        if packet.protocol in (ICMP, ICMP6):
            identifier = struct.unpack_from(">H", frame, packet.payload + 4)[0]
            kind = frame[packet.payload]
            if kind in (8, 128):
                return self._request(packet, identifier)[1]
            return self._reply(packet, identifier)[1] if kind in (0, 129) else None
        # The client's port of one flow may be the server's of another: both ends tell which of the two it is.
        request, reply = self._request(packet, two), self._reply(packet, one)
        return max((request, reply), key=lambda scored: scored[0])[1]

    def _request(self, packet: _Packet, port: int) -> tuple[int, Hit | None]:
        score, flow = self._best(packet.protocol, port, packet.source, packet.destination)
        return score, Hit(flow, canary.REQUEST, "header") if score else None

    def _reply(self, packet: _Packet, port: int) -> tuple[int, Hit | None]:
        score, flow = self._best(packet.protocol, port, packet.destination, packet.source)
        return score, Hit(flow, canary.REPLY, "header") if score else None

    def _best(self, protocol: int, port: int, source: bytes, destination: bytes) -> tuple[int, int]:
        """(how many of its ends are right, the flow) with that port; one end may have been translated on the way."""
        rows = self._by_port.get((protocol, port), ())
        return max((((to == destination) + (of == source), flow) for flow, of, to in rows), default=(0, UNKNOWN_FLOW))

    def _by_pair(self, packet: _Packet) -> Hit | None:
        """Between two test pods runs nothing but our flows, so the pair alone makes it ours."""
        forward = self._pairs.get((packet.source, packet.destination, packet.protocol))
        if forward is not None:
            return Hit(forward, canary.REQUEST, "header")
        back = self._pairs.get((packet.destination, packet.source, packet.protocol))
        if back is not None:
            return Hit(back, canary.REPLY, "header")
        if packet.source in self._addresses and packet.destination in self._addresses:
            return Hit(UNKNOWN_FLOW, canary.REQUEST, "header")
        return None


def _packets(frame: bytes, addresses: AbstractSet[bytes]) -> Iterator[_Packet]:
    """Every IP header in the frame that has one of the addresses as its source or destination."""
    seen: set[int] = set()
    for address in addresses:
        size = len(address)
        at = frame.find(address)
        while at >= 0:
            starts = (at - 12, at - 16) if size == 4 else (at - 8, at - 24)
            for start in starts:
                if start >= 0 and start not in seen:
                    packet = _ipv4(frame, start) if size == 4 else _ipv6(frame, start)
                    if packet is not None:
                        seen.add(start)
                        yield packet
            at = frame.find(address, at + 1)


def _ipv4(frame: bytes, at: int) -> _Packet | None:
    """The IPv4 header at an offset; None where the bytes are none (version, length and checksum must be right)."""
    header = (frame[at] & 15) * 4
    if frame[at] >> 4 != 4 or header < 20 or len(frame) < at + header:
        return None
    unchecked = frame[at + 10 : at + 12] == b"\0\0"
    if not unchecked and header_sum(frame, at, header) != 0xFFFF:
        return None
    fragment = struct.unpack_from(">H", frame, at + 6)[0]
    source, destination = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    identification = (source, destination, frame[at + 4 : at + 6])
    first, fragmented = not fragment & 0x1FFF, bool(fragment & 0x3FFF)
    return _Packet(source, destination, frame[at + 9], identification, at + header, first, fragmented, at, unchecked)


def _ipv6(frame: bytes, at: int) -> _Packet | None:
    """The IPv6 header at an offset, followed through its extension headers; None where the bytes are none."""
    if frame[at] >> 4 != 6 or len(frame) < at + 40:
        return None
    source, destination = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    protocol, payload, first, number = behind_extensions(frame, frame[at + 6], at + 40, _MOST_EXTENSIONS)
    return _Packet(source, destination, protocol, (source, destination, number), payload, first, bool(number), at)


def header_sum(frame: bytes, at: int, size: int) -> int:
    """The ones' complement sum of a header: 0xFFFF when its checksum is right."""
    total = int(sum(struct.unpack_from(f">{size // 2}H", frame, at)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
