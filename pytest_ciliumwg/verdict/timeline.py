"""Conclude from a timeline how much was in cleartext, what was lost, and where nothing can be concluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import Outage, Timeline
from pytest_ciliumwg.model.traffic import Flow, Sighting
from pytest_ciliumwg.model.watch import data_packets
from pytest_ciliumwg.verdict.spans import longest_outage

_MERGED = 64
"""WireGuard messages that the kernel may show as one frame, at most."""


def frames_in_clear(seen: Iterable[Sighting]) -> int:
    """How many frames there were at least: most are seen twice, as they leave a node and as they enter the other."""
    both: Counter[bool] = Counter()
    for sighting in seen:
        both[sighting.outgoing] += sighting.frames
    return max(both.values(), default=0)


def clock(at: float) -> str:
    """A time of our clock for people, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def outages(timeline: Timeline) -> Iterator[tuple[Flow, Outage | None]]:
    """Each continuous flow with its longest outage."""
    for flow in timeline.flows.values():
        if flow.purpose == "continuous":
            yield flow, longest_outage(timeline, flow.id)


def unwatchable(timeline: Timeline) -> Iterator[tuple[Place, str]]:
    """(Where, why) for each reason why nothing can be concluded, of the whole timeline or of one flow."""
    yield from ((Place.everywhere("all nodes"), why) for why in timeline.unsound)
    for flow in timeline.flows.values():
        if flow.purpose != "continuous":
            continue
        totals = timeline.totals.get(flow.id)
        if totals is None or not totals.answered:
            yield Place.of_flow(flow), "nothing of it was delivered, so nothing of it could be seen"


def blind_intervals(timeline: Timeline, away: frozenset[str]) -> Iterator[tuple[Place, str]]:
    """(Node, why) for each time in which a watch proved nothing; nodes that were away on purpose are left out.

    What a node that is away sends and receives is seen at the other end of each pair.
    """
    for blind in timeline.blind:
        if timeline.covers(blind) and not {blind.node, blind.unheard} & away:
            yield (
                Place.of_node(blind.node),
                f"blind from {clock(blind.first_at)} to {clock(blind.last_at)}: {blind.why}",
            )


def sounding(timeline: Timeline) -> Iterator[Flow]:
    """The flows of which something was delivered."""
    for flow in timeline.flows.values():
        totals = timeline.totals.get(flow.id)
        if totals is not None and totals.answered:
            yield flow


def answered_without_tunnel(timeline: Timeline) -> Iterator[tuple[Place, str]]:
    """(Pair, why) where less passed through the tunnel than was delivered: it left by another device.

    A node whose watch was interrupted has lost what it counted, so nothing is said of it.
    """
    delivered: Counter[tuple[str, str]] = Counter()
    for flow in timeline.flows.values():
        totals = timeline.totals.get(flow.id)
        if totals is not None:
            delivered[flow.pair] += totals.answered
            delivered[flow.pair[::-1]] += totals.answered
    in_clear = {timeline.flows[seen.flow].pair for seen in timeline.clear if seen.flow in timeline.flows}
    for (source, destination), count in delivered.items():
        devices = timeline.counted.get(source, {}).values()
        if not devices or {(source, destination), (destination, source)} & in_clear:
            continue
        missed = sum(device.wireguard_drops for device in devices)
        addresses = timeline.addresses[source], timeline.addresses[destination]
        outgoing = (messages for device in devices for messages in device.wireguard if messages.outgoing)
        passed, _ = data_packets(outgoing, *addresses)
        if passed + missed * _MERGED < count:  # where some were missed, the count is a floor
            more = f", and missed {missed} frames" if missed else ""
            why = f"{count} messages were delivered, but {source} saw only {passed} WireGuard data messages{more}"
            yield Place.of_pair(source, destination), why
