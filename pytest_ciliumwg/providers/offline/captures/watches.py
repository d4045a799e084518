"""What captures show, as a watch would have reported it: by node and native device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from pytest_ciliumwg.agent.capture.packet_headers import Packet, packets
from pytest_ciliumwg.agent.capture.wireguard import message_kind
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, IPNetwork, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.watch import Conversation, MessageKind, PodsReport, WatchReport
from pytest_ciliumwg.providers.offline.captures.attribution import Counted
from pytest_ciliumwg.providers.offline.captures.counting import FrameCounter, Slot
from pytest_ciliumwg.providers.offline.captures.cut import is_cut
from pytest_ciliumwg.providers.offline.captures.device import CapturedDevice, common_window
from pytest_ciliumwg.providers.offline.captures.hidden import hidden_packets
from pytest_ciliumwg.providers.offline.gaps import no_capture

_UDP = 17
_KEEPALIVE = 32
_IP_AND_ARP = (b"\x08\x00", b"\x86\xdd", b"\x08\x06")
_BROADCAST = IPv4Address("255.255.255.255")


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
    tunnelled: bool
    """Whether pods' packets are between addresses of nodes, in a tunnel, also where they are not encrypted."""


class CapturedWatch:
    """The captures of one node."""

    def __init__(self, state: NodeState, known: Known) -> None:
        self._state = state
        self._node = state.node
        self._known = known
        self._devices: dict[str, CapturedDevice] = {}
        self._macs = {link.name: bytes.fromhex(link.mac.replace(":", "")) for link in state.native_devices if link.mac}
        self._owners = {ip: pod for pod in known.pods for ip in pod.addresses}
        self._packed = {ip.packed for ip in self._owners}
        self._of_nodes = {ip for node in known.nodes for ip in (*node.addresses, *node.external_addresses)}
        self._of_nodes |= {interface.ip for link in state.devices for interface in link.addresses}
        self._not_pods = self._of_nodes | {ip for node in known.nodes for ip in node.cilium_addresses}
        self._homeless = any(not node.pod_cidrs for node in known.nodes)
        """Whether the networks of some node's pods are not known."""
        self._own = {ip for owner in known.nodes if owner.name == self._node for ip in owner.tunnel_addresses}
        self.strangers: dict[tuple[IPAddress, IPAddress], int] = {}
        """Frames between addresses of the pods' networks of two nodes, of which nothing tells whose they were."""

    def add(self, device: str, counted: Counted) -> None:
        """Take in one capture; of the captures of a device the largest first, so that nothing counts twice."""
        found = self._devices.setdefault(device, CapturedDevice())
        frames = counted.frames
        span = frames.first, frames.last
        again = bool(frames.frames) and found.overlaps(span)
        found.frames += frames.frames
        found.drops += counted.interface.drops or 0
        found.forgotten += frames.forgotten
        found.unfiltered &= counted.file.unfiltered
        found.filtered |= counted.interface.filtered
        found.leaving += frames.leaving
        found.arriving += frames.arriving
        if frames.frames:
            found.spans.append(span)
        for slot in frames.seen():
            self._take(found, device, slot, frames, again=again)

    def _take(self, found: CapturedDevice, device: str, slot: Slot, frames: FrameCounter, *, again: bool) -> None:
        levels = packets(slot.frame, ethernet=frames.ethernet)
        found.short += slot.count * is_cut(slot.frame, levels, ethernet=frames.ethernet)
        if frames.has_macs:
            found.arriving += slot.count * (slot.frame[0:6] == self._macs.get(device))
            found.leaving += slot.count * (slot.frame[6:12] == self._macs.get(device))
        found.others += slot.count * self._is_beside(slot.frame, levels)
        for packet in levels:
            if packet.protocol == _UDP and self._known.port in packet.ports and packet.first and not again:
                self._message(found, packet, slot)
            self._conversation(found, device, packet, slot)
        for packet in hidden_packets(slot.frame, levels):
            if packet.source in self._packed and packet.destination in self._packed:
                self._conversation(found, device, packet, slot)

    def _is_beside(self, frame: bytes, levels: Sequence[Packet]) -> bool:
        """Whether a frame is such as a filter on WireGuard or on nodes leaves out, as it would leave out pods'."""
        if not levels:
            return frame[12:14] not in _IP_AND_ARP
        ends = {ip_address(levels[0].source), ip_address(levels[0].destination)}
        if self._known.tunnelled and self._known.port not in levels[0].ports:
            return True
        return not ends <= self._of_nodes

    def _message(self, found: CapturedDevice, packet: Packet, slot: Slot) -> None:
        size = int.from_bytes(slot.frame[packet.payload - 4 : packet.payload - 2], "big") - 8
        kind = MessageKind(message_kind(slot.frame[packet.payload : packet.payload + 4], size))
        if kind is MessageKind.OTHER and packet.ports[1] != self._known.port:
            return  # others have it as their source port by chance
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

    def _conversation(self, found: CapturedDevice, device: str, packet: Packet, slot: Slot) -> None:
        source, destination = ip_address(packet.source), ip_address(packet.destination)
        sender, receiver = self._owner(source, slot.last), self._owner(destination, slot.last)
        if sender is None or receiver is None:
            homes = {self._home(end) for end in (source, destination)}
            between_nodes = len(homes) == 2 and None not in homes
            if between_nodes or self._nobodys(source, destination):
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

    def _nobodys(self, source: IPAddress, destination: IPAddress) -> bool:
        """Whether neither end is known, in a cluster where pods may have any address."""
        unknown = not self._not_pods & {source, destination} and not self._owners.keys() & {source, destination}
        everywhere = any(end.is_multicast or end.is_link_local or end.is_unspecified for end in (source, destination))
        return self._homeless and unknown and not everywhere and destination != _BROADCAST

    def _home(self, address: IPAddress) -> str | None:
        """The node whose pods have such addresses; None for addresses of nodes and of Cilium's own endpoints."""
        if address in self._not_pods:
            return None
        if address in self._owners:
            return self._owners[address].node
        return next((node.name for node in self._known.nodes if _in_one(address, node.pod_cidrs)), None)

    def report(self) -> WatchReport:
        """All of it, as a watch of this node; what is missing is among its errors."""
        devices = {name: found for name, found in self._devices.items() if found.frames}
        started, stopped = common_window(devices.values())
        return WatchReport(
            node=self._node,
            started=started,
            stopped=stopped,
            devices={name: found.report(self._own) for name, found in self._devices.items()},
            controls=frozenset(),
            sightings=(),
            pods=PodsReport(
                missed=sum(found.forgotten + found.drops + found.short for found in self._devices.values())
                + sum(self.strangers.values()),
                controls=frozenset((name, family) for name in devices for family in self._known.families),
                conversations=tuple(seen for found in self._devices.values() for seen in found.pods.values()),
            ),
            errors=tuple(self._missing()),
        )

    def _missing(self) -> Iterator[str]:
        if "native_devices" in self._state.unread:
            why = self._state.unread["native_devices"]
            yield f"which devices of {self._node} an eavesdropper sees is not known: {why}"
        for link in self._state.native_devices:
            found = self._devices.get(link.name)
            if found is None:
                yield no_capture(self._node, link.name)
            elif not found.frames:
                yield f"the capture of {self._node}'s {link.name} holds no frame, so it may have heard nothing at all"
            else:
                yield from (f"the captures of {self._node}'s {link.name} {doubt}" for doubt in found.doubts())


def _in_one(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
