"""Reading a timeline: what leaked and after what, what was lost, and where nothing can be concluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pytest_ciliumwg.lasting.causes import Cause, Causes
from pytest_ciliumwg.lasting.spans import longest_outage
from pytest_ciliumwg.model.timeline import Outage, Timeline
from pytest_ciliumwg.model.traffic import Flow, Sighting
from pytest_ciliumwg.model.watch import data_packets


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One interval of cleartext, in words."""

    seen: Sighting
    cause: Cause
    where: str
    """The flow."""
    told: str
    """What was seen, when, where and after what."""


def leaks(timeline: Timeline) -> tuple[Leak, ...]:
    """Everything that was in clear, in the order of time."""
    causes = Causes(timeline)
    return tuple(_leak(timeline, seen, causes.of(seen)) for seen in timeline.clear)


def leaks_by_pair(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """(Pair of nodes, what was seen) for each directed pair with cleartext: the first of it, and how much in all."""
    pairs: dict[str, list[Leak]] = {}
    for leak in leaks(timeline):
        flow = timeline.flows.get(leak.seen.flow)
        pairs.setdefault(" → ".join(flow.pair) if flow else leak.where, []).append(leak)
    for pair, found in pairs.items():
        frames, flows = frames_in_clear(leak.seen for leak in found), len({leak.seen.flow for leak in found})
        yield pair, f"{frames} frames of {flows} flows in clear; the first: {found[0].where}: {found[0].told}"


def frames_in_clear(seen: Iterable[Sighting]) -> int:
    """How many frames there were at least: most are seen twice, as they leave a node and as they enter the other."""
    both: Counter[bool] = Counter()
    for one in seen:
        both[one.outgoing] += one.frames
    return max(both.values(), default=0)


def leaks_by_flow(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """(Flow, what was seen) for each flow with cleartext: the first of it, and how often more."""
    flows: dict[str, list[Leak]] = {}
    for leak in leaks(timeline):
        flows.setdefault(leak.where, []).append(leak)
    for where, found in flows.items():
        more = f"; and {len(found) - 1} more sightings of it" if len(found) > 1 else ""
        yield where, found[0].told + more


def _leak(timeline: Timeline, seen: Sighting, cause: Cause) -> Leak:
    flow = timeline.flows.get(seen.flow)
    told = seen.told(f" at {clock(seen.first_at)} for {seen.last_at - seen.first_at:.3f} s")
    where = str(flow) if flow else f"{seen.node} {seen.device}, of which flow cannot be told"
    return Leak(seen=seen, cause=cause, where=where, told="".join([told, *_after(cause, seen)]))


def _after(cause: Cause, seen: Sighting) -> Iterator[str]:
    for event in (cause.change, cause.event):
        if event is not None:
            yield f"; {_later(seen, event.at)} {event}"
    if cause.absence is not None:
        absence = cause.absence
        when = f"from {clock(absence.first_at)} to {clock(absence.last_at)}"
        yield f"; all of it while {absence.what} on {absence.node} ({when})"


def _later(seen: Sighting, at: float) -> str:
    return f"{seen.first_at - at:.3f} s after" if seen.first_at > at else "at the time of:"


def clock(at: float) -> str:
    """A time of our clock for people, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def outages(timeline: Timeline) -> Iterator[tuple[Flow, Outage | None]]:
    """Each lasting flow with its longest outage."""
    for flow in timeline.flows.values():
        if flow.purpose == "lasting":
            yield flow, longest_outage(timeline, flow.id)


def unwatchable(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """(Where, why) for whatever makes that nothing at all can be concluded, or nothing of a flow."""
    yield from (("all nodes", why) for why in timeline.unsound)
    for flow in timeline.flows.values():
        if flow.purpose != "lasting":
            continue
        totals = timeline.totals.get(flow.id)
        if totals is None or not totals.answered:
            yield str(flow), "nothing of it was delivered, so nothing of it could be seen"


def blind_intervals(timeline: Timeline, away: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(Node, why) for each time in which a watch proved nothing; nodes that were away on purpose are left out.

    What a node that is away sends and receives is seen at the other end of each pair.
    """
    for one in timeline.blind:
        inside = one.last_at >= timeline.started and one.first_at <= timeline.stopped
        about_away = any(one.why.endswith(f" of {node}") for node in away)
        if inside and one.node not in away and not about_away:
            yield one.node, f"blind from {clock(one.first_at)} to {clock(one.last_at)}: {one.why}"


def sounding(timeline: Timeline) -> Iterator[Flow]:
    """The flows of which something was delivered."""
    for flow in timeline.flows.values():
        totals = timeline.totals.get(flow.id)
        if totals is not None and totals.answered:
            yield flow


def answered_without_tunnel(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """(Pair, why) where less passed through the tunnel than was delivered: then it went where nobody watched.

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
        if any(device.wireguard_drops for device in devices):
            continue  # then the counts are floors
        addresses = timeline.addresses[source], timeline.addresses[destination]
        outgoing = (messages for device in devices for messages in device.wireguard if messages.outgoing)
        passed, _ = data_packets(outgoing, *addresses)
        if passed < count:
            why = f"{count} messages were delivered, but {source} saw only {passed} WireGuard data messages"
            yield f"{source} → {destination}", why
