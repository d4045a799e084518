"""What a watch says of each flow. A silence counts only where it was proven that the watch would have heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

from pytest_ciliumwg.errors import more_on
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Node
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.traffic import Delivery, Flow, Protocol, Purpose, Sighting, Verdict
from pytest_ciliumwg.model.watch import PHASES, DeviceReport, MessageKind, WatchReport, WireGuardMessages
from pytest_ciliumwg.verdict.custody import Custody
from pytest_ciliumwg.verdict.roaming import followed

LEAST_OVERHEAD = 60
"""Bytes that a packet has at least in front of its canary and around it: IP and UDP or ICMP headers, and WireGuard's
own 32. Where the kernel shows several WireGuard messages as one frame, the bytes tell that they are enough."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict of one flow, why, and what was seen of it in cleartext."""

    flow: Flow
    delivery: Delivery
    verdict: Verdict
    reason: str
    sightings: tuple[Sighting, ...] = ()


class Judge:
    """Judges a measurement; every answer follows from it alone."""

    def __init__(self, measurement: Measurement, nodes: Sequence[Node]) -> None:
        self.measurement = measurement
        nodes = followed(nodes, measurement.before, measurement.after)
        self.custody = Custody(measurement)
        self._nodes = {node.name: node for node in nodes}
        self.homes: Mapping[IPAddress, str] = {ip: node.name for node in nodes for ip in node.tunnel_addresses}
        """Address of a tunnel's end → its node."""

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        """One for each flow, in the order of the flows."""
        return tuple(self._judge(flow) for flow in self.measurement.flows)

    @cached_property
    def by_kind(self) -> Mapping[tuple[Purpose, IPFamily, Protocol], Sequence[Judgement]]:
        """The judgements by their flows' purpose, family and protocol."""
        found: dict[tuple[Purpose, IPFamily, Protocol], list[Judgement]] = {}
        for judgement in self.judgements:
            flow = judgement.flow
            found.setdefault((flow.purpose, flow.family, flow.protocol), []).append(judgement)
        return found

    @cached_property
    def pairs(self) -> AbstractSet[tuple[str, str]]:
        """The directed pairs of nodes that are tested: those with flows for it; all where no flows of ours ran."""
        asked = {flow.pair: None for flow in self.measurement.flows if flow.purpose == "pair"}
        return (asked or dict.fromkeys(permutations(self.measurement.watches, 2))).keys()

    @property
    def all_pairs(self) -> int:
        """How many directed pairs of nodes under test there are."""
        nodes = len(self.measurement.watches)
        return nodes * (nodes - 1)

    def left_out(self, source: str, destination: str) -> bool:
        """Whether both nodes are under test, and this pair of them is not, because a sample of the pairs is tested."""
        watches = self.measurement.watches
        return (source, destination) not in self.pairs and source in watches and destination in watches

    @cached_property
    def between(self) -> Mapping[frozenset[str], tuple[Judgement, ...]]:
        """Two nodes → the judgements of the flows between them, in both directions."""
        found: dict[frozenset[str], list[Judgement]] = {}
        for judgement in self.judgements:
            found.setdefault(frozenset(judgement.flow.pair), []).append(judgement)
        return {pair: tuple(judgements) for pair, judgements in found.items()}

    @cached_property
    def unattributed(self) -> tuple[Sighting, ...]:
        """Frames in cleartext that are ours for certain, though of which flow cannot be told."""
        known = {flow.id for flow in self.measurement.flows}
        return tuple(seen for watch in self._watches for seen in watch.sightings if seen.flow not in known)

    @cached_property
    def blindness(self) -> Mapping[str, tuple[str, ...]]:
        """Node → why its watch proves nothing; nodes with a sound watch are missing."""
        reasons = {watch.node: tuple(self._blind(watch)) for watch in self._watches}
        return {node: why for node, why in reasons.items() if why}

    def unheard(self, receiver: str, sender: str) -> str | None:
        """Why it is not proven that one node's watch sees what another node sends; None when it is."""
        for phase, when in PHASES.items():
            if sender not in self._heard[receiver][phase]:
                unseen = f"the watch on {receiver} did not see the control canary of {sender} {when}"
                return f"{unseen}{more_on('deaf-watch')}"
        return None

    @cached_property
    def _heard(self) -> Mapping[str, Mapping[int, AbstractSet[str]]]:
        """Watching node → phase → the nodes whose control canaries arrived there."""
        return {
            watch.node: {
                phase: {seen.sender for seen in watch.controls if seen.phase == phase and not seen.outgoing}
                for phase in PHASES
            }
            for watch in self._watches
        }

    def ends(self, seen: Sighting) -> tuple[IPAddress, ...]:
        """The test pods' addresses that the first frame of a sighting holds."""
        first = seen.evidence[0].data if seen.evidence else b""
        found = sorted((first.find(address.packed), str(address), address) for address in self._addresses)
        return tuple(address for at, _, address in found if at >= 0)

    @cached_property
    def _addresses(self) -> AbstractSet[IPAddress]:
        return {address for flow in self.measurement.flows for address in (flow.source, flow.destination)}

    def uncovered(self, flow: Flow) -> str | None:
        """Why the flow's packets may have passed before or after the watches; None when they were covered."""
        delivery = self.measurement.deliveries[flow.id]
        # A client outside of the cluster has a clock of its own, which nobody compares with the nodes'.
        sent = (0.0, 0.0) if flow.path == "north-south" else (delivery.started, delivery.finished)
        ends = (
            (flow.source_node, *sent),
            (flow.destination_node, delivery.served_first, delivery.served_last),
        )
        for node, first, last in ends:
            watch = self.measurement.watches[node]
            if first and not watch.started <= first:
                return f"its traffic began {watch.started - first:.3f} s before the watch on {node}"
            if last > watch.stopped:
                return f"its traffic ended {last - watch.stopped:.3f} s after the watch on {node}"
        return None

    @property
    def devices(self) -> Mapping[str, Mapping[str, DeviceReport]]:
        """Node → device → what its watch counted."""
        return {node: watch.devices for node, watch in self.measurement.watches.items()}

    def messages(self, node: str) -> Iterator[tuple[str, WireGuardMessages]]:
        """(device, WireGuard messages) of a node's watch."""
        for device, report in self.measurement.watches[node].devices.items():
            for messages in report.wireguard:
                yield device, messages

    def data_messages(self, node: str, source: str, destination: str) -> tuple[int, int]:
        """(count, bytes) of the packets in WireGuard that `node` saw from one node's addresses to another's."""
        return self._data[node].get((source, destination), (0, 0))

    def count(self, node: str, source: str, destination: str, kind: MessageKind) -> int:
        """Messages of a kind that `node` saw from one node's addresses to another's."""
        return self._kinds[node][source, destination, kind]

    @cached_property
    def _kinds(self) -> Mapping[str, Counter[tuple[str, str, MessageKind]]]:
        """Watching node → (directed node pair, kind) → messages."""
        counted: dict[str, Counter[tuple[str, str, MessageKind]]] = {}
        for node in self.measurement.watches:
            counts = counted[node] = Counter()
            for _, messages in self.messages(node):
                ends = (self.homes.get(messages.source, ""), self.homes.get(messages.destination, ""))
                counts[(*ends, messages.kind)] += messages.count
        return counted

    @cached_property
    def _data(self) -> Mapping[str, Mapping[tuple[str, str], tuple[int, int]]]:
        """Watching node → directed node pair → (count, bytes) of the packets in WireGuard; keepalives carry none."""
        return {node: self._count_data(node) for node in self.measurement.watches}

    def _count_data(self, node: str) -> Mapping[tuple[str, str], tuple[int, int]]:
        counted: dict[tuple[str, str], tuple[int, int]] = {}
        for _, messages in self.messages(node):
            pair = (self.homes.get(messages.source, ""), self.homes.get(messages.destination, ""))
            if messages.carries_packets and all(pair):
                count, size = counted.get(pair, (0, 0))
                counted[pair] = (count + messages.count, size + messages.bytes)
        return counted

    def addresses(self, node: str) -> frozenset[IPAddress]:
        """The addresses at which a node's tunnel may end."""
        return self._nodes[node].tunnel_addresses

    @property
    def _watches(self) -> Sequence[WatchReport]:
        return tuple(self.measurement.watches.values())

    @cached_property
    def _by_flow(self) -> Mapping[int, tuple[Sighting, ...]]:
        found: dict[int, list[Sighting]] = {}
        flows = {flow.id: flow for flow in self.measurement.flows}
        for watch in self._watches:
            for sighting in watch.sightings:
                if (flow := flows.get(sighting.flow)) and flow.clear_by_design(sighting):
                    continue
                found.setdefault(sighting.flow, []).append(sighting)
        return {flow: tuple(sightings) for flow, sightings in found.items()}

    def _judge(self, flow: Flow) -> Judgement:
        delivery = self.measurement.deliveries[flow.id]
        sightings = self._by_flow.get(flow.id, ())
        cut_short = flow.id in self.measurement.dropped_by_policies and not flow.promised
        if sightings and not cut_short:
            frames = sum(seen.frames for seen in sightings)
            return Judgement(flow, delivery, Verdict.CLEARTEXT, f"{frames} frames in cleartext", sightings)
        # Nobody expects an answer to what the version drops by design, so a stalled agent is no excuse for it.
        if delivery.received < flow.count and delivery.unmeasured and not flow.dropped_by_design:
            return Judgement(flow, delivery, Verdict.INCONCLUSIVE, delivery.unmeasured)
        if delivery.received < flow.count:
            reason = delivery.error or f"{delivery.received} of {flow.count} messages answered"
            return Judgement(flow, delivery, Verdict.UNREACHABLE, reason)
        # What is shown not to have been in the tunnel needs no other proof.
        another_way = self.custody.bypass(flow)
        if another_way is not None:
            return Judgement(flow, delivery, Verdict.BYPASS, another_way)
        doubt = self._doubt(flow)
        if doubt is not None:
            return Judgement(flow, delivery, Verdict.INCONCLUSIVE, doubt)
        return Judgement(flow, delivery, Verdict.ENCRYPTED, "delivered through the tunnel, and in WireGuard alone")

    def _doubt(self, flow: Flow) -> str | None:
        for node in flow.pair:
            if node in self.blindness:
                return self.blindness[node][0]
        source, destination = flow.pair
        return (
            self.unheard(source, destination)
            or self.unheard(destination, source)
            or self.uncovered(flow)
            or self.custody.doubt(flow)
            or self._not_on_the_wire(flow)
        )

    def _not_on_the_wire(self, flow: Flow) -> str | None:
        """More came out of the tunnel than WireGuard carried where it is watched: then it was carried elsewhere."""
        for source, destination in (flow.pair, flow.pair[::-1]):
            packets, size = self.custody.carried.get((source, destination), (0, 0))
            for node in flow.pair:
                count, total = self.data_messages(node, source, destination)
                if count < packets and total < size + packets * LEAST_OVERHEAD:
                    lost = sum(device.wireguard_drops for device in self.measurement.watches[node].devices.values())
                    return (
                        f"{packets} packets of ours came through the tunnel from {source} to {destination}, but {node} "
                        f"saw only {count} WireGuard data messages on its native devices"
                        f"{f', and {lost} more were not counted' if lost else ''}"
                    )
        return None

    def _blind(self, watch: WatchReport) -> Iterator[str]:
        yield from watch.errors
        for name, device in watch.devices.items():
            if device.drops:
                yield f"the kernel dropped {device.drops} of {device.kernel_frames} frames on {watch.node} {name}"
            if device.truncated:
                yield f"{device.truncated} frames on {watch.node} {name} were cut off"
        if not watch.errors:
            yield from self._controls_missing(watch)

    def _controls_missing(self, watch: WatchReport) -> Iterator[str]:
        sent = {(seen.phase, seen.device) for seen in watch.controls if seen.outgoing and seen.sender == watch.node}
        for phase, when in PHASES.items():
            for device in watch.devices:
                if (phase, device) not in sent:
                    yield f"the watch on {watch.node} {device} did not see its own control canary {when}"
