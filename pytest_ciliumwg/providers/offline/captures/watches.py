"""What captures show, as a watch would have reported it: by node and native device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from pytest_ciliumwg.agent.capture.packet_headers import Packet, packets
from pytest_ciliumwg.agent.capture.wireguard import message_kind
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, IPNetwork, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.watch import (
    Conversation,
    DeviceReport,
    MessageKind,
    PodsReport,
    WatchReport,
    WireGuardMessages,
)
from pytest_ciliumwg.providers.offline.captures.attribution import Counted
from pytest_ciliumwg.providers.offline.captures.counting import Slot
from pytest_ciliumwg.providers.offline.gaps import no_capture

_UDP = 17
_KEEPALIVE = 32
_LEAST_HEADERS = 54
"""Bytes of a frame without which no headers of a pod's packet are in it: Ethernet's and IPv6's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the cluster tells that gives addresses a meaning."""

    nodes: tuple[Node, ...]
    pods: frozenset[Pod]
    since: Mapping[str, float]
    """Pod's key → since when it has its addresses."""
    port: int
    """WireGuard's."""
    families: frozenset[IPFamily]


@dataclass(slots=True)
class _Device:
    frames: int = 0
    drops: int = 0
    forgotten: int = 0
    short: int = 0
    first: float = 0.0
    last: float = 0.0
    messages: dict[tuple[IPAddress, IPAddress, MessageKind, bool, bool], list[int]] = field(default_factory=dict)
    pods: dict[tuple[IPAddress, IPAddress, int, str], Conversation] = field(default_factory=dict)


class CapturedWatch:
    """The captures of one node."""

    def __init__(self, node: str, known: Known) -> None:
        self._node = node
        self._known = known
        self._devices: dict[str, _Device] = {}
        self._owners = {ip: pod for pod in known.pods for ip in pod.addresses}
        self._not_pods = {
            ip for node in known.nodes for ip in (*node.addresses, *node.cilium_addresses, *node.external_addresses)
        }
        self._own = {ip for owner in known.nodes if owner.name == node for ip in owner.tunnel_addresses}
        self.strangers: dict[tuple[IPAddress, IPAddress], int] = {}
        """Frames between addresses of the pods' networks of two nodes, of which nothing tells whose they were."""

    def add(self, device: str, counted: Counted) -> None:
        """Take in one capture."""
        found = self._devices.setdefault(device, _Device())
        frames = counted.frames
        found.frames += frames.frames
        found.drops += counted.interface.drops or 0
        found.forgotten += frames.forgotten
        if frames.frames:
            found.first = min(found.first or frames.first, frames.first)
            found.last = max(found.last, frames.last)
        for slot in frames.seen():
            self._take(found, device, slot, ethernet=frames.ethernet)

    def _take(self, found: _Device, device: str, slot: Slot, *, ethernet: bool) -> None:
        levels = packets(slot.frame, ethernet=ethernet)
        if not levels and slot.frame[12:14] in (b"\x08\x00", b"\x86\xdd") and len(slot.frame) < _LEAST_HEADERS:
            found.short += slot.count
        for packet in levels:
            if packet.protocol == _UDP and self._known.port in packet.ports and packet.first:
                self._message(found, packet, slot)
            else:
                self._conversation(found, device, packet, slot)

    def _message(self, found: _Device, packet: Packet, slot: Slot) -> None:
        size = int.from_bytes(slot.frame[packet.payload - 4 : packet.payload - 2], "big") - 8
        kind = MessageKind(message_kind(slot.frame[packet.payload : packet.payload + 4], size))
        key = (
            ip_address(packet.source),
            ip_address(packet.destination),
            kind,
            kind is MessageKind.DATA and size == _KEEPALIVE,
            packet.fragmented,
        )
        counts = found.messages.setdefault(key, [0, 0])
        counts[0] += slot.count
        counts[1] += slot.count * size

    def _conversation(self, found: _Device, device: str, packet: Packet, slot: Slot) -> None:
        source, destination = ip_address(packet.source), ip_address(packet.destination)
        sender, receiver = self._owner(source, slot.last), self._owner(destination, slot.last)
        if sender is None or receiver is None:
            homes = {self._home(end) for end in (source, destination)}
            if len(homes) == 2 and None not in homes:
                self.strangers[source, destination] = self.strangers.get((source, destination), 0) + slot.count
            return
        if sender.node == receiver.node:
            return
        key = (source, destination, packet.protocol, packet.tunnel)
        earlier = found.pods.get(key)
        found.pods[key] = Conversation(
            source=source,
            destination=destination,
            protocol=packet.protocol,
            source_port=earlier.source_port if earlier else packet.ports[0],
            destination_port=earlier.destination_port if earlier else packet.ports[1],
            device=device,
            outgoing=sender.node == self._node,
            tunnel=packet.tunnel,
            frames=slot.count + (earlier.frames if earlier else 0),
            first_at=min(slot.first, earlier.first_at) if earlier else slot.first,
            last_at=max(slot.last, earlier.last_at) if earlier else slot.last,
        )

    def _owner(self, address: IPAddress, at: float) -> Pod | None:
        """The pod that had an address; None where it had it only later, or nobody is known to have it."""
        pod = self._owners.get(address)
        return None if pod is None or at < self._known.since.get(pod.key, 0.0) else pod

    def _home(self, address: IPAddress) -> str | None:
        """The node whose pods have such addresses; None for addresses of nodes and of Cilium's own endpoints."""
        if address in self._not_pods:
            return None
        if address in self._owners:
            return self._owners[address].node
        return next((node.name for node in self._known.nodes if _in_one(address, node.pod_cidrs)), None)

    def report(self, state: NodeState) -> WatchReport:
        """All of it, as a watch of this node; what is missing is among its errors."""
        devices = {name: found for name, found in self._devices.items() if found.frames}
        families = self._known.families
        return WatchReport(
            node=self._node,
            started=min((found.first for found in devices.values()), default=0.0),
            stopped=max((found.last for found in devices.values()), default=0.0),
            devices={name: self._report(found) for name, found in self._devices.items()},
            controls=frozenset(),
            sightings=(),
            pods=PodsReport(
                missed=sum(found.forgotten + found.drops + found.short for found in self._devices.values())
                + sum(self.strangers.values()),
                controls=frozenset((name, family) for name in devices for family in families),
                conversations=tuple(seen for found in self._devices.values() for seen in found.pods.values()),
            ),
            errors=tuple(self._missing(state)),
        )

    def _missing(self, state: NodeState) -> Iterator[str]:
        if "native_devices" in state.unread:
            yield f"which devices of {self._node} an eavesdropper sees is not known: {state.unread['native_devices']}"
        for link in state.native_devices:
            found = self._devices.get(link.name)
            if found is None:
                yield no_capture(self._node, link.name)
            elif not found.frames:
                yield f"the capture of {self._node}'s {link.name} holds no frame, so it may have heard nothing at all"

    def _report(self, found: _Device) -> DeviceReport:
        return DeviceReport(
            frames=found.frames,
            kernel_frames=found.frames + found.drops,
            drops=found.drops,
            truncated=found.short,
            wireguard=tuple(
                WireGuardMessages(
                    outgoing=source in self._own,
                    source=source,
                    destination=destination,
                    kind=kind,
                    keepalive=keepalive,
                    fragmented=fragmented,
                    count=count,
                    bytes=size,
                )
                for (source, destination, kind, keepalive, fragmented), (count, size) in found.messages.items()
            ),
            wireguard_drops=found.drops + found.forgotten,
        )


def _in_one(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
