"""What is wrong with traffic: which node sends in cleartext, which pairs go another way or cannot talk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_ciliumwg.diagnosis.causes import Cause, Causes
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.timeline import Timeline
from pytest_ciliumwg.model.traffic import Direction, Flow, Sighting, Verdict
from pytest_ciliumwg.verdict.judge import Judge, Judgement
from pytest_ciliumwg.verdict.other_pods import ClearPods, in_clear, protocol_name
from pytest_ciliumwg.verdict.timeline import clock

Kind = Literal["cleartext", "bypass", "lost"]
Pair = tuple[str, str]
_KINDS: dict[Verdict, Kind] = {Verdict.BYPASS: "bypass", Verdict.UNREACHABLE: "lost"}
_MANY_SIZES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """What is wrong with the packets from one node to another."""

    kind: Kind
    pair: Pair
    """Who sends these packets, and who should get them: of a flow's replies the reverse of the flow's pair."""
    protocols: tuple[str, ...]
    families: tuple[IPFamily, ...]
    flows: int
    sizes: tuple[int, ...] = ()
    """Bytes of payload, where it is wrong with probes of sizes alone."""
    of_hosts: bool = False
    """Whether it is traffic of the nodes' own networks alone."""
    frames: int = 0
    """In cleartext, as they left; as they arrived where nobody saw them leave."""
    seen_at: tuple[str, ...] = ()
    """Node and device where frames were seen."""
    layers: str = ""
    first_at: float = 0.0
    last_at: float = 0.0
    besides: str = ""
    """What hides it from those who look at something else."""
    because: str = ""
    """What was so all the while, or happened just before; only while something changes."""

    def __str__(self) -> str:
        what = [*(name.upper() for name in self.protocols), *(family.value for family in self.families)]
        sizes = f" of {_in_short(self.sizes)} bytes" if self.sizes else ""
        flows = f"{self.flows} {'flow' if self.flows == 1 else 'flows'}{sizes}"
        told = f"{' → '.join(self.pair)}: {' '.join(what)}, {flows}"
        if not self.frames:
            return told
        when = " to ".join(dict.fromkeys((clock(self.first_at), clock(self.last_at))))
        besides = f"; {self.besides}" if self.besides else ""
        layers = f" ({self.layers})" if self.layers else ""
        return f"{told}, {self.frames} frames at {', '.join(self.seen_at)}, {when}{layers}{besides}"


def symptoms(judgements: Iterable[Judgement]) -> tuple[Symptom, ...]:
    """All that is wrong with promised flows of one watch: cleartext first, then most frames first."""
    found: dict[tuple[Kind, Pair], list[tuple[Flow, list[Sighting]]]] = {}
    for judgement in judgements:
        flow = judgement.flow
        if not flow.promised:
            continue
        if judgement.verdict is Verdict.CLEARTEXT:
            _add(found, flow, judgement.sightings)
        elif judgement.verdict in _KINDS and not (judgement.verdict is Verdict.UNREACHABLE and flow.dropped_by_design):
            found.setdefault((_KINDS[judgement.verdict], flow.pair), []).append((flow, []))
    return _sorted(found)


def symptoms_of_pods(judge: Judge) -> tuple[Symptom, ...]:
    """What other pods sent in cleartext, by pair of nodes, where no flow of ours tells."""
    pairs: dict[Pair, list[ClearPods]] = {}
    for clear in in_clear(judge.measurement):
        pairs.setdefault((clear.source.node, clear.destination.node), []).append(clear)
    found = (_symptom_of_pods(judge, pair, clear) for pair, clear in pairs.items())
    return tuple(sorted(found, key=lambda symptom: -symptom.frames))


def _symptom_of_pods(judge: Judge, pair: Pair, clear: list[ClearPods]) -> Symptom:
    seen = [(node, conversation) for pods in clear for node, conversation in pods.seen]
    counted = [one for one in seen if one[1].outgoing] or seen
    back = sum(judge.data_messages(node, *pair[::-1])[0] for node in pair if node in judge.measurement.watches)
    first = min(clear, key=lambda pods: (pods.source.key, pods.destination.key))
    others = len({(pods.source.key, pods.destination.key) for pods in clear}) - 1
    whose = f"{first.source.key} → {first.destination.key}{f' and {others} more pairs of pods' if others else ''}"
    # Flows of ours are answered in WireGuard too, whatever becomes of the answers to these pods.
    hidden = back and not judge.measurement.flows
    return Symptom(
        kind="cleartext",
        pair=pair,
        protocols=tuple(_in_order(protocol_name(conversation.protocol) for _, conversation in counted)),
        families=tuple(sorted({IPFamily.of(one.source) for _, one in counted}, key=lambda family: family.value)),
        flows=len({(one.source, one.destination, one.protocol) for _, one in counted}),
        frames=sum(pods.frames for pods in clear),
        seen_at=tuple(_in_order(f"{node} {one.device}" for node, one in counted)),
        layers="/".join(_in_order({one.tunnel for _, one in counted} - {""})),
        first_at=min(one.first_at for _, one in counted),
        last_at=max(one.last_at for _, one in counted),
        besides=f"{'answers come in WireGuard, so ping shows no loss; ' if hidden else ''}{whose}",
    )


def symptoms_of_change(timeline: Timeline) -> tuple[Symptom, ...]:
    """What was in cleartext while something changed, likewise, with what caused it."""
    found: dict[tuple[Kind, Pair], list[tuple[Flow, list[Sighting]]]] = {}
    why: dict[Pair, dict[str, None]] = {}
    causes = Causes(timeline)
    for seen in timeline.clear:
        if flow := timeline.flows.get(seen.flow):
            _add(found, flow, [seen])
            why.setdefault(_sender_first(flow, seen.direction), {})[_because(causes.of(seen))] = None
    return tuple(replace(symptom, because=next(iter(why[symptom.pair]))) for symptom in _sorted(found))


def _because(cause: Cause) -> str:
    if cause.absence is not None:
        return f"all of it while {cause.absence.what} on {cause.absence.node}"
    return " and ".join(f"after {event}" for event in (cause.change, cause.event) if event is not None)


def _add(
    found: dict[tuple[Kind, Pair], list[tuple[Flow, list[Sighting]]]], flow: Flow, sightings: Iterable[Sighting]
) -> None:
    for direction, seen in _by_direction(sightings).items():
        found.setdefault(("cleartext", _sender_first(flow, direction)), []).append((flow, seen))


def _sorted(found: dict[tuple[Kind, Pair], list[tuple[Flow, list[Sighting]]]]) -> tuple[Symptom, ...]:
    made = [_symptom(kind, pair, seen) for (kind, pair), seen in found.items()]
    return tuple(sorted(made, key=lambda symptom: (symptom.kind != "cleartext", symptom.kind, -symptom.frames)))


def _by_direction(sightings: Iterable[Sighting]) -> dict[Direction, list[Sighting]]:
    directions: dict[Direction, list[Sighting]] = {}
    for seen in sightings:
        directions.setdefault(seen.direction, []).append(seen)
    return directions


def _sender_first(flow: Flow, direction: Direction) -> Pair:
    return flow.pair if direction == "request" else (flow.destination_node, flow.source_node)


def _symptom(kind: Kind, pair: Pair, seen: list[tuple[Flow, list[Sighting]]]) -> Symptom:
    flows = [flow for flow, _ in seen]
    sightings = [sighting for _, several in seen for sighting in several]
    counted = [sighting for sighting in sightings if sighting.outgoing] or sightings
    shown = counted or sightings
    return Symptom(
        kind=kind,
        pair=pair,
        protocols=tuple(_in_order(flow.protocol.value for flow in flows)),
        families=tuple(sorted({flow.family for flow in flows}, key=lambda family: family.value)),
        flows=len({flow.id for flow in flows}),
        sizes=tuple(sorted({flow.payload_size for flow in flows})) if _only_sizes(flows) else (),
        of_hosts=all("node" in flow.path for flow in flows),
        frames=sum(sighting.frames for sighting in counted),
        seen_at=tuple(_in_order(f"{sighting.node} {sighting.device}" for sighting in shown)),
        layers=shown[0].layers if shown else "",
        first_at=min((sighting.first_at for sighting in shown), default=0.0),
        last_at=max((sighting.last_at for sighting in shown), default=0.0),
    )


def _in_short(sizes: Sequence[int]) -> str:
    return f"{sizes[0]}-{sizes[-1]}" if len(sizes) > _MANY_SIZES else ", ".join(map(str, sizes))


def _only_sizes(flows: Iterable[Flow]) -> bool:
    return all(flow.purpose == "size" for flow in flows)


def _in_order(words: Iterable[str]) -> Iterator[str]:
    yield from sorted(set(words))
