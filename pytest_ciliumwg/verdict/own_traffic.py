"""What a continuous watch says of traffic that is not the run's own: between two pods of a user's. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ciliumwg.model.cluster import IPFamily, Pod
from pytest_ciliumwg.model.timeline import Timeline
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.model.watch import Conversation, data_packets
from pytest_ciliumwg.verdict.timeline import blind_intervals, clock

_IP = {IPFamily.V4: 20, IPFamily.V6: 40}
_TRANSPORT = {Protocol.ICMP: 8, Protocol.UDP: 8, Protocol.TCP: 40}
_WIREGUARD = 16 + 16 + 15
"""Its header, its tag, and its padding at most."""
_OVERLAY = 14 + 40 + 8 + 8
"""Ethernet in VXLAN or Geneve in UDP in IPv6."""


def lives_of(timeline: Timeline, key: str) -> tuple[Pod, ...]:
    """The pods that had this name while the watch was open; several, if one followed the other."""
    return tuple(life.pod for life in timeline.pod_lives if life.pod.key == key)


def in_clear_between(timeline: Timeline, pods: tuple[Pod, Pod]) -> tuple[tuple[str, Conversation], ...]:
    """(Node that saw it, what) of packets between two pods in cleartext, in either direction."""
    one, other = (frozenset(pod.addresses) for pod in pods)
    return tuple(
        (node, seen)
        for node, seen in timeline.conversations
        if (seen.source in one and seen.destination in other) or (seen.source in other and seen.destination in one)
    )


def unproven(timeline: Timeline, nodes: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """(Node, why) for each reason why a silence about packets between pods of these nodes proves nothing."""
    for why in timeline.unsound:
        yield nodes[0], why
    for node in nodes:
        if node not in timeline.counted:
            yield node, "its watch did not count to the end"
    for blind in timeline.pods_blind:
        if blind.node in nodes and timeline.covers(blind):
            yield blind.node, f"from {clock(blind.first_at)} to {clock(blind.last_at)}: {blind.why}"
    for where, why in blind_intervals(timeline, frozenset()):
        if where.node in nodes:
            yield str(where.node), why


def carried(timeline: Timeline, source: str, destination: str, routing_mode: str) -> int:
    """Bytes of WireGuard data from one node to another, at least, that were not the run's own flows."""
    devices = timeline.counted.get(source, {}).values()
    outgoing = (message for device in devices for message in device.wireguard if message.outgoing)
    _, total = data_packets(outgoing, timeline.addresses[source], timeline.addresses[destination])
    overlay = 0 if routing_mode == "native" else _OVERLAY
    ours = 0
    for (number, into_tunnel), passed in timeline.inside.get(source, {}).items():
        flow = timeline.flows.get(number)
        if into_tunnel and flow is not None and set(flow.pair) == {source, destination}:
            around = _IP[flow.family] + _TRANSPORT[flow.protocol] + _WIREGUARD + overlay
            ours += passed.bytes + (passed.frames + passed.short) * around
    return max(total - ours, 0)
