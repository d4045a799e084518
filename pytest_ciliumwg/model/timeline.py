"""What happened over time: events, and for each flow when it was lost or in cleartext.

All times are seconds since the epoch on one clock, the controller's: those of nodes are corrected by their offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod
from pytest_ciliumwg.model.traffic import Flow, Sighting
from pytest_ciliumwg.model.watch import Conversation, DeviceReport, Passage

EventKind = Literal[
    "change",
    "agent-gone",
    "agent-ready",
    "node-gone",
    "node-ready",
    "node-not-ready",
    "key-changed",
    "peers-changed",
    "revision",
    "pod-created",
    "pod-deleted",
    "kernel",
    "api-silent",
    "api-answers",
    "watch-restarted",
]
KernelVerb = Literal["created", "removed", "added", "replaced", "set up", "set down", "renamed"]
"""What happened to a part of a node's kernel state, as its agent spells it."""
ChangeStep = Literal[
    "restart-agent",
    "create-pod",
    "delete-pod",
    "replace-key",
    "device-down",
    "device-up",
    "delete-ipcache",
    "restore-ipcache",
    "block-port",
    "unblock-port",
    "restart-node",
    "drain-node",
    "remove-node",
    "add-node",
    "upgrade",
    "observe",
]
"""What the run itself does to a cluster, step by step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPod:
    """The Cilium agent of a node."""

    name: str
    """The pod's name: another name is another agent."""
    ready: bool
    started_at: float | None = None
    """When its container started, on the node's clock; None where it is not known."""
    image: str = ""
    """What tells its version."""
    digest: str = ""
    """The image that runs there by its digest, such as `registry.example/cilium@sha256:…`; empty where none is told."""
    restarts: int = 0
    """How often its container was started again since the pod was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a cluster's API shows at one moment of all that may change."""

    agents: Mapping[str, AgentPod]
    """Node → its Cilium agent; a node without one is missing."""
    nodes: Mapping[str, bool]
    """Node → whether it is Ready."""
    keys: Mapping[str, str]
    """Node → the public key that it publishes."""
    pods: Mapping[str, str]
    """Key of each pod with addresses of its own → its node."""
    addresses: Mapping[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    """Key of each of these pods → its addresses."""
    revision: str = ""
    """The installation's revision, such as Helm's; empty where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened."""

    kind: EventKind
    what: str
    """In words for people, such as `cilium_wg0 was removed`; nothing is concluded from them."""
    node: str | None
    """Where; None: in the cluster."""
    at: float
    """When at the latest: when it was noticed, or exactly where the source tells."""
    since: float
    """When at the earliest; the same as `at` where the time is exact."""
    step: ChangeStep | None = None
    """Of a change: what the run did."""
    subject: str = ""
    """Of the kernel: what it happened to, such as `cilium_wg0` or `an egress filter of eth0`."""
    verb: KernelVerb | None = None
    """Of the kernel: what happened to it; None where it could not be told one by one."""
    family: IPFamily | None = None
    """Of the kernel: the family that a route or rule is for; None: it matters to both."""
    device: str = ""
    """Of the kernel: the device that it is about; empty for a rule."""
    count: int = 1
    """Of the kernel: how often it happened within a second."""

    def __str__(self) -> str:
        return f"{self.what} on {self.node}" if self.node else self.what


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Messages in a row of one flow that were not answered."""

    flow: int
    first_at: float
    last_at: float
    """When the first and the last of them were sent."""
    lost: int
    error: str | None = None
    """What the kernel said, if it refused to send."""

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.last_at - self.first_at


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindInterval:
    """A time in which a node's watch proves nothing."""

    node: str
    first_at: float
    last_at: float
    why: str
    unheard: str | None = None
    """The other node whose control canaries did not arrive, where that is why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which nothing of a flow passed inside the tunnel on one node, though before it something did."""

    flow: int
    node: str
    outgoing: bool
    """Whether nothing went in to be encrypted (true), or nothing came out decrypted (false)."""
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLife:
    """A pod with its addresses, and when the API showed it."""

    pod: Pod
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTotals:
    """One flow's messages over the whole time."""

    flow: int
    sent: int
    answered: int
    """Late answers included."""
    lost: int
    late: int = 0
    """Answers that came after the patience: our own processes are late on a busy machine."""
    connections: int = 0
    """TCP connections that were opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All that a continuous watch brought home."""

    started: float
    stopped: float
    flows: Mapping[int, Flow]
    totals: Mapping[int, FlowTotals]
    """By flow; a flow whose sender gave no account is missing."""
    clear: tuple[Sighting, ...]
    """Frames in cleartext, those close to each other in time as one."""
    outages: tuple[Outage, ...]
    blind: tuple[BlindInterval, ...]
    events: tuple[Event, ...]
    """In the order of time."""
    counted: Mapping[str, Mapping[str, DeviceReport]] = field(default_factory=dict)
    """Node → device → what was counted from the beginning to the end; nodes whose watch was interrupted are missing."""
    addresses: Mapping[str, frozenset[IPAddress]] = field(default_factory=dict)
    """Node → the addresses at which its tunnel may end."""
    inside: Mapping[str, Mapping[tuple[int, bool], Passage]] = field(default_factory=dict)
    """Node → what passed inside the tunnel, by flow and by whether it went in; nodes that never told are missing."""
    inside_blind: tuple[BlindInterval, ...] = ()
    """Times in which something may have passed there without being counted."""
    gaps: tuple[Gap, ...] = ()
    conversations: tuple[tuple[str, Conversation], ...] = ()
    """Packets between addresses of pods that were in cleartext, a second each, with the node that saw them."""
    pods_blind: tuple[BlindInterval, ...] = ()
    """Times in which such packets may have passed without being counted."""
    pod_lives: tuple[PodLife, ...] = ()
    """Which pod had which addresses when; empty where other pods were not watched."""
    quoted: tuple[Sighting, ...] = ()
    """ICMP errors in cleartext that quote headers of ours, and no payload: those of a flow and device as one."""
    unsound: tuple[str, ...] = ()
    """Why nothing at all can be concluded, such as a log that had no room; a sentence each."""
    offsets: Mapping[str, float] = field(default_factory=dict)
    """Node → how many seconds its clock is ahead of ours."""
    uncertainty: Mapping[str, float] = field(default_factory=dict)
    """Node → by how many seconds its offset may be wrong."""

    def covers(self, interval: BlindInterval) -> bool:
        """Whether any of an interval is within the time that was watched."""
        return interval.last_at >= self.started and interval.first_at <= self.stopped
