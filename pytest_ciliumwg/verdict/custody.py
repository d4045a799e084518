"""The chain of custody of each flow: into `cilium_wg0` on the sender's node, out of it on the receiver's, and back.

What was delivered without passing there went another way, whatever else was in the tunnel meanwhile. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.traffic import Delivery, Flow, Protocol
from pytest_ciliumwg.model.watch import PHASES, Passage, WatchReport
from pytest_ciliumwg.observe.wireguard import DEVICE

NOTHING = Passage(frames=0, bytes=0, short=0, first_at=0.0, last_at=0.0)
_PLURAL = {"request": "requests", "reply": "replies"}
_UNSEEN_TAIL = canary.WHOLE_WITHIN
"""Bytes at the end of a message that may hold no whole canary, and so be in a fragment that is not counted."""
_UNSEEN_HEAD = 40
"""Bytes of a packet's payload that may stand before its first canary: the ends of two, and a message's header."""


@dataclass(frozen=True, slots=True)
class Point:
    """One of the four places that the messages of a flow have to pass."""

    node: str
    outgoing: bool
    """Whether they go in to be encrypted (true), or come out decrypted (false)."""
    direction: str
    """`request` or `reply`."""

    def missing(self) -> str:
        """What is wrong where nothing passed."""
        verb = "entered" if self.outgoing else "came out of"
        return f"its {_PLURAL[self.direction]} never {verb} {DEVICE} on {self.node}"


def points(flow: Flow) -> tuple[Point, ...]:
    """Where a flow's messages pass, in their order."""
    source, destination = flow.pair
    return (
        Point(source, True, "request"),
        Point(destination, False, "request"),
        Point(destination, True, "reply"),
        Point(source, False, "reply"),
    )


class Custody:
    """What the inside watches of a measurement prove of its flows."""

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement

    @cached_property
    def deafness(self) -> Mapping[str, str]:
        """Node → why the silence of its inside watch proves nothing; nodes with a sound one are missing."""
        found = {watch.node: self._deaf(watch) for watch in self._measurement.watches.values()}
        return {node: why for node, why in found.items() if why}

    def bypass(self, flow: Flow) -> str | None:
        """Why a flow that was delivered went another way than through the tunnel; None where that is not shown."""
        for point in points(flow):
            if point.node not in self.deafness and (why := self._shortage(flow, point)):
                return why
        return None

    def doubt(self, flow: Flow) -> str | None:
        """Why it is not proven that the flow went through the tunnel; None when it is."""
        return next((self.deafness[node] for node in flow.pair if node in self.deafness), None)

    @cached_property
    def carried(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """Directed node pair → (packets, bytes) of our flows that came out of the tunnel at its end.

        Each of them was carried by a WireGuard data message at least.
        """
        packets: Counter[tuple[str, str]] = Counter()
        sizes: Counter[tuple[str, str]] = Counter()
        flows = {flow.id: flow for flow in self._measurement.flows}
        for node, number, passage in self._arrived():
            flow = flows.get(number)
            if flow is not None and node in flow.pair:
                other = flow.destination_node if node == flow.source_node else flow.source_node
                packets[other, node] += passage.frames + passage.short
                sizes[other, node] += passage.bytes
        return {pair: (count, sizes[pair]) for pair, count in packets.items()}

    def _arrived(self) -> Iterator[tuple[str, int, Passage]]:
        """(node, flow, passage) of what came out decrypted."""
        for watch in self._measurement.watches.values():
            if watch.inside is not None:
                for (number, outgoing), passage in watch.inside.passages.items():
                    if not outgoing:
                        yield watch.node, number, passage

    def _deaf(self, watch: WatchReport) -> str:
        inside = watch.inside
        if inside is None:
            return watch.errors[0] if watch.errors else f"the inside of the tunnel was not watched on {watch.node}"
        if not inside.present:
            return f"there is no device {DEVICE} on {watch.node}, so nothing can be seen inside the tunnel"
        if inside.missed:
            return f"{inside.missed} packets inside the tunnel on {watch.node} were not read"
        silent = [when for phase, when in PHASES.items() if phase not in inside.controls]
        return f"the watch on {watch.node} {DEVICE} did not see its own control canary {silent[0]}" if silent else ""

    def _shortage(self, flow: Flow, point: Point) -> str | None:
        inside = self._measurement.watches[point.node].inside
        passage = inside.passages.get((flow.id, point.outgoing), NOTHING) if inside else NOTHING
        return shortage(flow, point, passage, least_messages(flow, self._measurement.deliveries[flow.id], point))


def least_messages(flow: Flow, delivery: Delivery, point: Point) -> int:
    """How many messages passed a point at least, if a flow that was answered went through the tunnel."""
    reached_server = point.direction == "request" and not point.outgoing
    return max(flow.count, delivery.served) if reached_server and flow.protocol is Protocol.UDP else flow.count


def shortage(flow: Flow, point: Point, passage: Passage, messages: int) -> str | None:
    """Why what passed at a point is less than these messages take, a sentence without a subject; None when enough."""
    if not passage.frames and not passage.short:
        return f"it was delivered, and {point.missing()}: it went another way"
    if flow.payload_size < canary.WHOLE_WITHIN:
        seen = passage.frames + passage.short
        # A tun device may have merged messages, which are counted by their bytes then.
        enough = seen >= messages or passage.bytes >= messages * flow.payload_size
    else:
        least = messages * (flow.payload_size - _UNSEEN_TAIL) - passage.frames * _UNSEEN_HEAD
        one_each = flow.protocol is Protocol.TCP or passage.frames >= messages
        seen, enough = passage.frames, one_each and passage.bytes >= least
    verb = "entered" if point.outgoing else "came out of"
    if enough and _repeated(flow, passage):
        return (
            f"it was delivered, and {passage.frames} packets hold only {passage.numbers} of its {flow.count} different "
            f"{_PLURAL[point.direction]} where they {verb} {DEVICE} on {point.node}: the others went another way"
        )
    if enough:
        return None
    return (
        f"it was delivered, and only {seen} packets ({passage.bytes} bytes) of its {messages} "
        f"{_PLURAL[point.direction]} of {flow.payload_size} bytes {verb} {DEVICE} on "
        f"{point.node}: the rest went another way"
    )


def _repeated(flow: Flow, passage: Passage) -> bool:
    """Whether messages that passed twice stand for some that did not pass; TCP repeats bytes, not messages."""
    counted = flow.protocol is not Protocol.TCP and flow.payload_size >= canary.WHOLE_WITHIN
    return counted and passage.numbers is not None and passage.numbers < flow.count
