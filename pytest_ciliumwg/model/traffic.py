"""Test traffic and what was seen of it: flows, deliveries, sightings, verdicts."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import Literal

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod

Direction = Literal["request", "reply"]
_CorePath = Literal["pod-to-pod", "pod-to-node", "node-to-pod", "node-to-node", "pod-to-service"]
_ExtendedPath = Literal[
    "pod-to-dns", "pod-to-nodeport", "pod-to-hostport", "pod-to-health", "pod-to-outside", "north-south"
]
Path = _CorePath | _ExtendedPath
Purpose = Literal["first", "pair", "size", "load", "path", "continuous", "churn"]


class Protocol(enum.Enum):
    """A transport of test traffic; the value is how options and reports spell it."""

    ICMP = "icmp"
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One directed test conversation between two nodes: of their pods, or of the nodes' own networks.

    Every message of it is `payload_size` bytes of transport payload and carries the flow's request canary; the
    answer carries the reply canary (for ICMP the kernel answers with the request's payload).
    """

    id: int
    purpose: Purpose
    """`first` opens the pair's WireGuard session, `pair` fills the matrix, `size` probes around the MTU, `load` lasts,
    `path` takes another path than pod to pod, `continuous` goes on through a continuous watch, `churn` is what a pod
    sends until it is deleted."""
    source_node: str
    destination_node: str
    source_pod: str
    destination_pod: str
    """Who sends and who serves: a test pod's key, or `host/NODE` for a node's own network."""
    source: IPAddress
    destination: IPAddress
    protocol: Protocol
    port: int
    """The server's TCP or UDP port, or the ICMP identifier: unique to the flow."""
    payload_size: int
    count: int
    """Messages to send."""
    dont_fragment: bool = False
    path: Path = "pod-to-pod"
    promised: bool = True
    """Whether it must be encrypted; what is not promised is reported, and never counted as a leak."""
    served_at: IPAddress | None = None
    """Where the server listens, if not at the destination: behind a Service."""
    served_port: int | None = None
    """The port at which it listens, if not that of the destination: behind a NodePort or hostPort."""
    served_by: tuple[str, ...] = ()
    """The nodes of which one serves it, where nobody knows which: behind a Service of several pods."""
    dns_domain: str = ""
    """Its messages are questions for names in this domain, which a DNS server answers; empty: they are not."""
    dropped_by_design: bool = False
    """Whether the version that is expected drops its messages, because they are in fragments that it drops."""
    fresh: bool = False
    """Whether every message of a continuous flow has a connection or source port of its own."""

    @property
    def family(self) -> IPFamily:
        """The IP family of the conversation."""
        return IPFamily.of(self.source)

    def clear_by_design(self, seen: Sighting) -> bool:
        """Whether these frames of it ran between its client outside of the cluster and the node where it enters."""
        entry = self.path == "north-south" and seen.node == self.source_node
        return entry and seen.outgoing is (seen.direction == "reply")

    @property
    def pair(self) -> tuple[str, str]:
        """The directed node pair."""
        return self.source_node, self.destination_node

    def moved(self, old: Pod, new: Pod) -> Flow:
        """The same flow where one of its ends has become another pod."""
        flow = self
        if flow.source_pod == old.key:
            flow = replace(flow, source_pod=new.key, source=new.address(flow.family) or flow.source)
        if flow.destination_pod == old.key:
            flow = replace(flow, destination_pod=new.key, destination=new.address(flow.family) or flow.destination)
        return flow

    def __str__(self) -> str:
        size = f", {self.payload_size} bytes{' with DF' if self.dont_fragment else ''}"
        return (
            f"{self.protocol.value.upper()}{'-new' if self.fresh else ''} {self.family.value} "
            f"{self.source_node} → {self.destination_node} "
            f"({f'{self.path} ' if self.purpose == 'path' else ''}{self.source} → {self.destination}"
            f"{size if self.purpose == 'size' else ''})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one flow's messages, as its sender and its server counted them."""

    flow: int
    sent: int
    received: int
    """Distinct answers that came back."""
    served: int
    """Requests that reached the server; -1 where they are not counted (the kernel answers ICMP)."""
    payload_bytes: int
    """Payload bytes of all requests that left, repeated ones included."""
    repeated: int = 0
    """Requests sent again because no answer had come."""
    duplicates: int = 0
    reordered: int = 0
    error: str | None = None
    """Why sending stopped, such as `Message too long`."""
    started: float = 0.0
    finished: float = 0.0
    """First send and last receive at the sender, seconds since the epoch on its node's clock."""
    served_first: float = 0.0
    served_last: float = 0.0
    """First request and last answer at the server, on its node's clock; 0 where nobody counts."""
    unmeasured: str | None = None
    """Why answers that are missing say nothing of the cluster: an agent of ours did not do its part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFrame:
    """One captured frame of ours in cleartext."""

    at: float
    """Seconds since the epoch, on the node's clock."""
    data: bytes
    length: int
    """Bytes on the wire; more than `data` holds when the evidence was cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Frames of one flow and direction, seen in cleartext by one node's watch on one device."""

    flow: int
    direction: Direction
    node: str
    device: str
    outgoing: bool
    """Whether the frames left the node (true) or arrived (false)."""
    how: Literal["canary", "header", "quoted"]
    """The canary itself was read, or the flow's addresses and ports in a frame too short for one, or these and nothing
    else within an ICMP error."""
    frames: int
    first_at: float
    """Seconds since the epoch, on the node's clock; in a timeline on the controller's."""
    last_at: float
    layers: str
    """How the frame was wrapped, such as `eth/ipv4/udp:8472/eth/ipv4/icmp`."""
    evidence: tuple[EvidenceFrame, ...] = field(default=(), repr=False)
    """Some of the frames, the first of them first."""

    def told(self, when: str = "") -> str:
        """It in words, with a time in words or without."""
        way = "leaving" if self.outgoing else "entering"
        return (
            f"{self.frames} frames of the {self.direction} {way} {self.node} {self.device} in cleartext{when} "
            f"({self.layers}, by {self.how})"
        )


class Verdict(enum.Enum):
    """What a watch says of one flow."""

    ENCRYPTED = "encrypted"
    CLEARTEXT = "cleartext"
    BYPASS = "bypass"
    """Delivered, and not through the tunnel: it went another way, which no watch saw."""
    UNREACHABLE = "unreachable"
    INCONCLUSIVE = "inconclusive"
