"""Traffic of other pods in cleartext: known by headers alone, and wrong only where both ends are pods. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod, sorted_families
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.watch import Conversation, WatchReport
from pytest_ciliumwg.verdict.timeline import clock

_SHOWN = 4
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}


@dataclass(frozen=True, slots=True)
class ClearPods:
    """Packets from one pod to another on another node, in cleartext."""

    source: Pod
    destination: Pod
    seen: tuple[tuple[str, Conversation], ...]
    """Each with the node that saw it."""

    @property
    def frames(self) -> int:
        """How many there were at least: most are seen twice, as they leave a node and as they enter the other."""
        sides = [sum(seen.frames for _, seen in self.seen if seen.outgoing is outgoing) for outgoing in (True, False)]
        return max(sides)


def in_clear(measurement: Measurement) -> Iterator[ClearPods]:
    """Other pods whose packets to a pod on another node were in cleartext.

    Only pods that were there before and after the watch count, so that an address is known to be theirs; addresses of
    nodes, of Cilium's own endpoints but that of Ingress and Gateways, and of host-network pods are no pods'.
    """
    owners: dict[IPAddress, list[Pod]] = {}
    for pod in measurement.pods:
        for address in pod.addresses:
            owners.setdefault(address, []).append(pod)
    found: dict[tuple[IPAddress, IPAddress], list[tuple[str, Conversation]]] = {}
    for node, watch in measurement.watches.items():
        for seen in watch.pods.conversations if watch.pods else ():
            found.setdefault((seen.source, seen.destination), []).append((node, seen))
    for (source, destination), conversations in found.items():
        ends = _ends(owners.get(source, ()), owners.get(destination, ()))
        if ends is not None:
            yield ClearPods(*ends, tuple(conversations))


def _ends(sources: Sequence[Pod], destinations: Sequence[Pod]) -> tuple[Pod, Pod] | None:
    """Two pods on different nodes; what an endpoint that was left behind says of an address hides none of them."""
    return next(((one, other) for one in sources for other in destinations if one.node != other.node), None)


def unproven(measurement: Measurement, families: Collection[IPFamily]) -> Iterator[tuple[str, str]]:
    """(Node, why) for each node whose silence about other pods proves nothing."""
    for node, watch in measurement.watches.items():
        if why := _unproven(watch, families):
            yield node, why


def _unproven(watch: WatchReport, families: Collection[IPFamily]) -> str:
    if watch.errors or watch.pods is None:
        return watch.errors[0] if watch.errors else "other pods' packets were not watched"
    if watch.pods.missed:
        return f"{watch.pods.missed} packets between pods were not counted"
    for device in watch.devices:
        for family in sorted_families(families):
            if (device, family) not in watch.pods.controls:
                return f"the watch on {device} did not see its own IP{family.value} control packet between pods"
    return ""


def told(clear: ClearPods) -> str:
    """What was seen, in words: protocol, addresses, ports, count and times; never a payload."""
    shown = [_told(node, seen) for node, seen in clear.seen[:_SHOWN]]
    more = [f"and {len(clear.seen) - _SHOWN} more"] if len(clear.seen) > _SHOWN else []
    return "; ".join([*shown, *more])


def protocol_name(number: int) -> str:
    """What IP's number stands for."""
    return _PROTOCOLS.get(number, f"protocol {number}")


def _told(node: str, seen: Conversation) -> str:
    protocol = protocol_name(seen.protocol)
    ports = f" port {seen.source_port} → {seen.destination_port}" if seen.source_port or seen.destination_port else ""
    way = "leaving" if seen.outgoing else "entering"
    tunnel = f" inside {seen.tunnel}" if seen.tunnel else ""
    return (
        f"{seen.frames} frames {protocol} {seen.source} → {seen.destination}{ports} {way} {node} {seen.device} in "
        f"cleartext{tunnel} from {clock(seen.first_at)} to {clock(seen.last_at)}"
    )
