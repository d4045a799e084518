"""Whose an address was when it leaked, while pods come and go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.model.timeline import BlindInterval, PodLife, Timeline
from pytest_ciliumwg.verdict.other_pods_over_time import in_clear, unproven
from tests.verdict.test_custody_over_time import timeline
from tests.verdict.test_other_pods import DB, WEB, conversation

NEXT = Pod(name="web-2", namespace="shop", node="one", addresses=WEB.addresses)


def life(pod: Pod, first: float, last: float) -> PodLife:
    return PodLife(pod=pod, first_at=first, last_at=last)


def seen(at: float, *lives: PodLife, **parts: Any) -> list[tuple[str, str]]:
    """(Sender, receiver) of what is called a leak, of packets around a time."""
    one = conversation(first_at=at, last_at=at + 0.5, **parts)
    made = timeline(conversations=(("one", one),), pod_lives=(*lives, life(DB, 0.0, 100.0)))
    return [(clear.source.name, clear.destination.name) for clear in in_clear(made)]


def test_an_address_is_its_pod_s_from_shortly_before_it_is_seen_to_after_it_is_gone() -> None:
    web = life(WEB, 20.0, 40.0)
    assert seen(30.0, web) == [("web", "db")]
    assert seen(18.0, web) == [("web", "db")], "it sends before the API is looked at again"
    assert seen(45.0, web) == [("web", "db")], "what it sends while it ends is its own"
    assert seen(10.0, web) == []


def test_an_address_that_changed_hands_is_the_next_pod_s() -> None:
    lives = life(WEB, 10.0, 30.0), life(NEXT, 50.0, 90.0)
    assert seen(40.0, *lives) == [("web", "db")]
    assert seen(60.0, *lives) == [("web-2", "db")]
    assert seen(48.5, *lives) == [], "whose it was then is not certain"


def test_a_destination_must_be_known_for_a_while_and_still_be_there() -> None:
    for first, last, leak in ((0.0, 100.0, True), (28.5, 100.0, False), (0.0, 29.0, False)):
        one = conversation(first_at=30.0, last_at=30.5)
        made = timeline(conversations=(("one", one),), pod_lives=(life(WEB, 0.0, 100.0), life(DB, first, last)))
        assert bool(list(in_clear(made))) is leak


def test_pods_of_one_node_do_not_leak_to_each_other() -> None:
    assert seen(30.0, life(WEB, 0.0, 100.0), life(replace(DB, node="one"), 0.0, 100.0), destination="10.0.0.5") == []


def test_what_is_not_known_is_said() -> None:
    blind = BlindInterval(node="two", first_at=10.0, last_at=12.0, why="3 packets were not counted")
    made: Timeline = timeline(pod_lives=(life(WEB, 0.0, 100.0),), pods_blind=(blind,))
    assert [str(where) for where, _ in unproven(made, frozenset())] == ["two"]
    assert list(unproven(made, frozenset({"two"}))) == []
    assert "which pods there were" in next(why for _, why in unproven(timeline(), frozenset()))
