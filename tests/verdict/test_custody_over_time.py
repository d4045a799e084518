"""Flows that go on: what was answered has to have passed the tunnel, but for what a watch cannot have counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_ciliumwg.model.timeline import BlindInterval, Event, FlowTotals, Gap, KernelVerb, Timeline
from pytest_ciliumwg.model.traffic import Flow, Protocol
from pytest_ciliumwg.model.watch import Passage
from pytest_ciliumwg.verdict.custody_over_time import bypasses, unproven
from pytest_ciliumwg.verdict.spans import spans
from tests.verdict.test_judge import FLOW
from tests.watch.made import clear

LASTING: Flow = replace(FLOW, purpose="continuous", payload_size=128, count=0, protocol=Protocol.UDP)
PASSED = Passage(frames=2000, bytes=2000 * 124, short=0, first_at=0.0, last_at=100.0)
BOTH = {(0, True): PASSED, (0, False): PASSED}


def timeline(**parts: Any) -> Timeline:
    """A hundred seconds in which 2,000 messages were answered, and all of them passed the tunnel."""
    given: dict[str, Any] = {
        "started": 0.0,
        "stopped": 100.0,
        "flows": {0: LASTING},
        "totals": {0: FlowTotals(flow=0, sent=2000, answered=2000, lost=0)},
        "clear": (),
        "outages": (),
        "blind": (),
        "events": (),
        "inside": {"one": BOTH, "two": BOTH},
    }
    return Timeline(**given | parts)


def less(frames: int) -> dict[str, dict[tuple[int, bool], Passage]]:
    """The same with fewer packets that came out at the receiver's node."""
    passed = replace(PASSED, frames=frames, bytes=frames * 124)
    return {"one": BOTH, "two": {(0, True): PASSED, (0, False): passed}}


def blind(seconds: float) -> BlindInterval:
    return BlindInterval(node="two", first_at=40.0, last_at=40.0 + seconds, why="it was made anew")


def test_what_was_answered_and_passed_the_tunnel_went_no_other_way() -> None:
    assert list(bypasses(timeline())) == []


def test_a_single_message_that_took_another_way_is_told_with_the_longest_gap() -> None:
    gaps = (
        Gap(flow=0, node="two", outgoing=False, first_at=10.0, last_at=11.5),
        Gap(flow=0, node="two", outgoing=False, first_at=20.0, last_at=24.0),
        Gap(flow=0, node="one", outgoing=False, first_at=30.0, last_at=60.0),
    )
    ((where, why),) = bypasses(timeline(inside=less(1999), gaps=gaps))
    assert "one → two" in str(where)
    assert "only 1999 packets" in why
    assert "came out of cilium_wg0 on two" in why
    assert why.endswith("nothing of it passed there from 00:00:20.000 to 00:00:24.000")


def test_what_was_in_cleartext_is_told_as_that() -> None:
    assert list(bypasses(timeline(inside=less(1000), clear=(clear(flow=0),)))) == []


@pytest.mark.parametrize(
    ("node", "device", "frames", "another_way"),
    [("two", "cilium_wg0", 1998, False), ("two", "cilium_wg0", 1997, True),
     ("one", "cilium_wg0", 1999, True), ("two", "eth0", 1999, True)],
)  # fmt: skip
def test_a_message_may_pass_unseen_while_the_device_is_set_down_or_up(
    node: str, device: str, frames: int, another_way: bool
) -> None:
    moments: tuple[tuple[KernelVerb, float], ...] = (("set down", 40.0), ("set up", 43.0))
    events = tuple(
        Event(kind="kernel", what=verb, node=node, at=at, since=at, subject=device, verb=verb, device=device)
        for verb, at in moments
    )
    assert bool(list(bypasses(timeline(inside=less(frames), events=events)))) is another_way


@pytest.mark.parametrize(("seconds", "frames", "another_way"), [(1.0, 1900, False), (1.0, 1800, True)])
def test_a_blind_watch_may_have_missed_what_passed_meanwhile(seconds: float, frames: int, another_way: bool) -> None:
    made = timeline(inside=less(frames), inside_blind=(blind(seconds),))
    assert bool(list(bypasses(made))) is another_way


def test_what_is_not_known_is_said() -> None:
    made = timeline(inside={"one": BOTH}, inside_blind=(replace(blind(3.0), node="one"), blind(0.2)))
    assert [str(where) for where, _ in unproven(made, frozenset())] == ["two", "one"]
    assert list(unproven(made, frozenset({"one", "two"}))) == []
    assert "it was made anew" in next(why for where, why in unproven(made, frozenset()) if str(where) == "one")


def test_many_moments_that_are_not_known_do_not_let_a_flow_pass_in_silence() -> None:
    """A ring that overflows is told tick by tick: each of these times is too short to be told by itself."""
    ticks = tuple(replace(blind(0.1), first_at=float(at), last_at=at + 0.1) for at in range(0, 100, 2))
    made = timeline(inside=less(0), inside_blind=ticks)
    assert list(bypasses(made)) == []
    ((where, why),) = unproven(made, frozenset())
    assert "one → two" in str(where)
    assert (
        why
        == "most of its 2000 messages may have passed two while it was not known what did, such as: it was made anew"
    )
    assert list(unproven(made, frozenset({"two"}))) == []
    assert list(unproven(timeline(inside=less(1000), inside_blind=ticks), frozenset())) == [], "half of it was seen"
    few = timeline(inside=less(1000), inside_blind=ticks[:3])
    assert list(unproven(few, frozenset())) == []
    assert len(list(bypasses(few))) == 1


def test_times_that_overlap_are_given_once() -> None:
    moments = tuple(replace(blind(0.1), first_at=40 + at / 10, last_at=40 + (at + 1) / 10) for at in range(10))
    assert list(bypasses(timeline(inside=less(1900), inside_blind=moments))) == []
    assert len(list(bypasses(timeline(inside=less(1800), inside_blind=moments)))) == 1, "3 s are given, and not 21 s"


def test_a_gap_is_a_span_of_its_own() -> None:
    gap = Gap(flow=0, node="two", outgoing=False, first_at=10.0, last_at=12.0)
    kinds = [(span.kind, span.first_at, span.last_at) for span in spans(timeline(gaps=(gap,)), 0)]
    assert kinds == [("encrypted", 0.0, 10.0), ("unproven", 10.0, 12.0), ("encrypted", 12.0, 100.0)]
