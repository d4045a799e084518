"""What captures that somebody else took prove of each pair of nodes. Pure.

They prove what is in them. Between two nodes of which nothing was captured anything may have passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

from pytest_ciliumwg.model.watch import MessageKind, WatchReport
from pytest_ciliumwg.verdict.judge import Judge
from pytest_ciliumwg.verdict.other_pods import in_clear
from pytest_ciliumwg.verdict.timeline import clock

LEAST_COMMON = 1.0
"""Seconds that captures have to have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedPair:
    """What was captured of the packets from one node to another."""

    source: str
    destination: str
    messages: int
    """WireGuard data messages that carry packets."""
    clear: int
    """Frames of pods in cleartext."""
    initiations: int
    """Of handshakes, from the one to the other."""
    responses: int
    """Of the other to these."""
    in_session: bool
    """Whether either ever sent what only follows from a completed handshake: data, if only a keepalive."""


def captured_pairs(judge: Judge) -> Iterator[CapturedPair]:
    """All directed pairs of nodes; each packet counts once, where most of them were seen."""
    clear: dict[tuple[str, str], int] = {}
    for pods in in_clear(judge.measurement):
        pair = pods.source.node, pods.destination.node
        clear[pair] = clear.get(pair, 0) + pods.frames
    for source, destination in permutations(judge.measurement.watches, 2):
        yield CapturedPair(
            source=source,
            destination=destination,
            messages=max(judge.data_messages(node, source, destination)[0] for node in (source, destination)),
            clear=clear.get((source, destination), 0),
            initiations=_most(judge, source, destination, MessageKind.INITIATION),
            responses=_most(judge, destination, source, MessageKind.RESPONSE),
            in_session=any(
                _most(judge, one, other, MessageKind.DATA)
                for one, other in ((source, destination), (destination, source))
            ),
        )


def _most(judge: Judge, source: str, destination: str, kind: MessageKind) -> int:
    return max(judge.count(node, source, destination, kind) for node in (source, destination))


def captured_in_words(judge: Judge) -> str:
    """Such as `2 of 6 pairs seen encrypted, none in cleartext`."""
    watches = judge.measurement.watches
    if not any(watch.devices for watch in watches.values()):
        return "no capture, so nothing is known"
    pairs = list(captured_pairs(judge))
    encrypted = sum(bool(pair.messages) and not pair.clear for pair in pairs)
    clear = [pair for pair in pairs if pair.clear]
    frames = sum(pair.clear for pair in clear)
    told = f"{len(clear)} in cleartext ({frames} frames)" if clear else "none in cleartext"
    if missed := sum(watch.pods.missed for watch in watches.values() if watch.pods):
        told += f", with {missed} frames of which it is not known"
    return f"{encrypted} of {len(pairs)} pairs seen encrypted, {told}"


def common_window(watches: Mapping[str, WatchReport]) -> tuple[float, float]:
    """From when to when all devices that were captured were; the end is before the start where they never were."""
    heard = [watch for watch in watches.values() if watch.stopped]
    return max((watch.started for watch in heard), default=0.0), min((watch.stopped for watch in heard), default=0.0)


def apart(watches: Mapping[str, WatchReport]) -> str:
    """Which captures are of different times; empty where all are of one."""
    heard = [watch for watch in watches.values() if watch.stopped]
    start, end = common_window(watches)
    if not heard or end - start >= LEAST_COMMON:
        return ""
    if end >= start:
        return f"all captures have but {end - start:.1f} s in common: let them run for a minute at the same time"
    early = min(heard, key=lambda watch: watch.stopped)
    late = max(heard, key=lambda watch: watch.started)
    return (
        f"the captures of {early.node} end at {clock(early.stopped)} and those of {late.node} begin at "
        f"{clock(late.started)}, {late.started - early.stopped:.0f} s later: they were taken one after the other, or "
        "the nodes' clocks differ"
    )
