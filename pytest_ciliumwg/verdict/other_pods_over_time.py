"""Other pods in cleartext while pods come and go: a leak is attributed by whose the address was at that time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ciliumwg.model.cluster import IPAddress, Pod
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import PodLife, Timeline
from pytest_ciliumwg.model.watch import Conversation
from pytest_ciliumwg.verdict.other_pods import ClearPods
from pytest_ciliumwg.verdict.timeline import clock

LOOK_SECONDS = 3.0
"""The API is looked at every second, or less often in large clusters: a pod is there so long before it is seen."""
KNOWN_SECONDS = 3.0
"""A pod is a known destination so long after it was seen first. Before, what is sent to it may be in cleartext: the
documentation says so of endpoints that are not yet discovered, and only strict mode forbids it."""


def in_clear(timeline: Timeline) -> Iterator[ClearPods]:
    """Pods whose packets to a pod on another node were in cleartext, at any time.

    What a pod sends is its own until another pod has its address: it may outlive what the API shows of it.
    """
    lives: dict[IPAddress, list[PodLife]] = {}
    for life in sorted(timeline.pod_lives, key=lambda life: life.first_at):
        for address in life.pod.addresses:
            lives.setdefault(address, []).append(life)
    found: dict[tuple[Pod, Pod], list[tuple[str, Conversation]]] = {}
    for node, seen in timeline.conversations:
        source = _sender(lives.get(seen.source, ()), seen)
        destination = _receiver(lives.get(seen.destination, ()), seen)
        if source and destination and source.node != destination.node:
            found.setdefault((source, destination), []).append((node, seen))
    for (source, destination), conversations in found.items():
        yield ClearPods(source, destination, tuple(conversations))


def unproven(timeline: Timeline, away: frozenset[str]) -> Iterator[tuple[Place, str]]:
    """(Node, why) for times in which packets between other pods may have passed without being counted."""
    if not timeline.pod_lives:
        yield Place.everywhere("all nodes"), "it is not known which pods there were"
    for blind in timeline.pods_blind:
        if timeline.covers(blind) and blind.node not in away:
            yield Place.of_node(blind.node), f"from {clock(blind.first_at)} to {clock(blind.last_at)}: {blind.why}"


def _sender(lives: Sequence[PodLife], seen: Conversation) -> Pod | None:
    begun = [life for life in lives if life.first_at - LOOK_SECONDS <= seen.first_at]
    if not begun:
        return None
    following = [life for life in lives if life.first_at > begun[-1].first_at]
    taken_over = any(life.first_at - LOOK_SECONDS <= seen.last_at for life in following)
    earlier = len(begun) > 1 and begun[-1].first_at > seen.first_at  # which of two pods it was is not certain
    return None if taken_over or earlier else begun[-1].pod


def _receiver(lives: Sequence[PodLife], seen: Conversation) -> Pod | None:
    for life in lives:
        if life.first_at + KNOWN_SECONDS <= seen.first_at and seen.last_at <= life.last_at:
            return life.pod
    return None
