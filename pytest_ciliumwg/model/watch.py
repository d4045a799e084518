"""What a watch reports of itself: what it counted, and whether its silence means anything."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.model.traffic import Sighting


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


def data_packets(
    messages: Iterable[WireGuardMessages], sources: Collection[IPAddress], destinations: Collection[IPAddress]
) -> tuple[int, int]:
    """(count, bytes) of the packets in WireGuard from some addresses to others; keepalives carry none."""
    found = [
        (message.count, message.bytes)
        for message in messages
        if message.kind is MessageKind.DATA
        and not message.keepalive
        and message.source in sources
        and message.destination in destinations
    ]
    return sum(count for count, _ in found), sum(size for _, size in found)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSeen:
    """A control canary that a watch saw."""

    sender: str
    """The node that sent it."""
    phase: int
    """0 before the flows, 1 after them."""
    device: str
    outgoing: bool


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
    errors: tuple[str, ...] = ()
    """Why the watch was blind, or never began."""
