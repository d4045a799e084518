"""What a watch reports of itself: what it counted, and whether its silence means anything."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.model.traffic import Sighting

PHASES = {0: "before the flows", 1: "after the flows"}
"""When control canaries are sent around the flows of one watch."""


class MessageKind(enum.Enum):
    """WireGuard's message types, as on the wire; OTHER is a datagram on its port without its framing."""

    OTHER = 0
    INITIATION = 1
    RESPONSE = 2
    COOKIE = 3
    DATA = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class WireGuardMessages:
    """WireGuard messages of one kind, counted on one device."""

    outgoing: bool
    source: IPAddress
    destination: IPAddress
    kind: MessageKind
    keepalive: bool
    """A data message that carries no packet."""
    fragmented: bool
    """The outer packet was an IP fragment (the first of them)."""
    count: int
    bytes: int
    """UDP payload bytes."""

    @property
    def carries_packets(self) -> bool:
        """Whether they are data messages, and no keepalives, which carry none."""
        return self.kind is MessageKind.DATA and not self.keepalive


@dataclass(frozen=True, slots=True, kw_only=True)
class CiphertextSample:
    """Some of the data messages from one address to another, on one device."""

    source: IPAddress
    destination: IPAddress
    sampled: int
    periodic: int
    """Of these, messages that repeat themselves every 16 bytes."""
    repeated: int
    """Of these, messages that are like an earlier one with another counter."""


def data_packets(
    messages: Iterable[WireGuardMessages], sources: Collection[IPAddress], destinations: Collection[IPAddress]
) -> tuple[int, int]:
    """(count, bytes) of the packets in WireGuard from some addresses to others; keepalives carry none."""
    found = [
        (message.count, message.bytes)
        for message in messages
        if message.carries_packets and message.source in sources and message.destination in destinations
    ]
    return sum(count for count, _ in found), sum(size for _, size in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Frames that one native device overheard between machines that are no nodes of this cluster, and put aside."""

    flows: int = 0
    """With addresses and ports like those of our flows, and no canary."""
    wireguard: int = 0
    """To or from WireGuard's port."""
    pods: int = 0
    """Between addresses of pods."""

    def __add__(self, other: Foreign) -> Foreign:
        """Both together."""
        return Foreign(
            flows=self.flows + other.flows,
            wireguard=self.wireguard + other.wireguard,
            pods=self.pods + other.pods,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReport:
    """One native device during a watch."""

    frames: int
    """Frames searched."""
    kernel_frames: int
    """Frames the kernel counted for the watch, dropped ones included."""
    drops: int
    truncated: int
    wireguard: tuple[WireGuardMessages, ...]
    wireguard_drops: int
    """Frames missing from the WireGuard counts: where not 0, they are floors."""
    ciphertext: tuple[CiphertextSample, ...] = ()
    foreign: Foreign = Foreign()


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSeen:
    """A control canary that a watch saw."""

    sender: str
    """The node that sent it."""
    phase: int
    """0 before the flows, 1 after them."""
    device: str
    outgoing: bool
    way: str
    """How it came, such as `ICMP echo`: the first way by which it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Packets of one flow in one direction, seen inside the tunnel on one node: on `cilium_wg0`."""

    frames: int
    """Packets that held a canary. Segments and fragments that were merged or not yet cut count as one; of messages that
    a tun device merged into one UDP packet each counts."""
    bytes: int
    """Their bytes from the first canary on; of packets without one those of UDP messages."""
    short: int
    """Packets too short for a canary, known by their addresses and ports."""
    first_at: float
    last_at: float
    """Seconds since the epoch, on the node's clock."""
    numbers: int | None = None
    """How many different messages began in them; None where that is not counted."""

    def __add__(self, other: Passage) -> Passage:
        """Both together."""
        return Passage(
            frames=self.frames + other.frames,
            bytes=self.bytes + other.bytes,
            short=self.short + other.short,
            first_at=min(self.first_at, other.first_at),
            last_at=max(self.last_at, other.last_at),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideReport:
    """What passed inside the tunnel on one node during a watch."""

    present: bool
    """Whether the WireGuard device was there."""
    missed: int
    """Packets that were not counted; where not 0, all counts are floors."""
    controls: frozenset[int]
    """The phases whose control canary of this node was seen there."""
    passages: Mapping[tuple[int, bool], Passage]
    """By flow and direction: whether it went in to be encrypted (true), or came out decrypted (false)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Packets from one address to another in cleartext on a native device, known by their headers."""

    source: IPAddress
    destination: IPAddress
    protocol: int
    """IP's number for it, such as 17 for UDP."""
    source_port: int
    destination_port: int
    """Of the first packet; 0 where the protocol has none."""
    device: str
    outgoing: bool
    """Whether the packets left the node (true) or arrived (false)."""
    tunnel: str
    """`vxlan` or `geneve`, where they were inside one; else empty."""
    frames: int
    first_at: float
    last_at: float
    """Seconds since the epoch, on the node's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodsReport:
    """Packets between addresses of pods, other than test pods, that one node's watch saw in cleartext."""

    missed: int
    """Packets that were not counted; where not 0, there may have been conversations that are missing here."""
    controls: frozenset[tuple[str, IPFamily]]
    """Devices on which the node's own control packet of a family was seen."""
    conversations: tuple[Conversation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchReport:
    """One node's watch."""

    node: str
    started: float
    stopped: float
    """Seconds since the epoch, on the node's clock."""
    devices: Mapping[str, DeviceReport]
    controls: frozenset[ControlSeen]
    sightings: tuple[Sighting, ...]
    """Frames of ours in cleartext."""
    quoted: tuple[Sighting, ...] = ()
    """ICMP errors in cleartext that quote headers of ours, and no payload."""
    inside: InsideReport | None = None
    """None where the watch failed."""
    pods: PodsReport | None = None
    """None where the watch failed, or other pods' packets were not to be watched."""
    errors: tuple[str, ...] = ()
    """Why the watch was blind, or never began."""
    kernel: str = ""
    """The release of the node's kernel; empty where the watch failed."""
