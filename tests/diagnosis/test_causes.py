"""A leak is told with its time, its node and what came before it, and with the cause that can be proven."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.diagnosis.causes import Causes
from pytest_ciliumwg.diagnosis.leaks import leaks
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.verdict.timeline import clock
from tests.watch.made import clear, event, kernel, timeline

CHANGE = event(140.0, "restarting the Cilium agent", kind="change")


def test_the_event_before() -> None:
    events = (
        kernel(120.0, "cilium_wg0", "removed", "three"),  # another pair's
        CHANGE,
        kernel(149.9, "cilium_wg0", "removed", "one"),
        kernel(151.5, "cilium_wg0", "created", "one"),
        event(170.0, "draining the node", kind="change"),
    )
    cause = Causes(timeline(events=events)).of(clear())
    assert cause.change == CHANGE
    assert cause.event == events[2]
    assert cause.absence is not None
    assert (cause.absence.what, cause.absence.first_at, cause.absence.last_at) == (
        "cilium_wg0 was missing",
        149.9,
        151.5,
    )


def test_told_in_words() -> None:
    events = (CHANGE, kernel(149.9, "cilium_wg0", "removed"), kernel(151.2, "cilium_wg0", "created"))
    line = timeline(events=events, clear=(clear(),))
    (leak,) = leaks(line)
    assert str(leak.where) == "ICMP v4 one → two (10.0.0.1 → 10.0.1.1)"
    assert f"20 frames of the request leaving one eth0 in cleartext at {clock(150.0)} for 1.000 s" in leak.told
    assert "10.000 s after restarting the Cilium agent on one" in leak.told
    assert "all of it while cilium_wg0 was missing on one" in leak.told


def test_what_stays_away_while_all_is_encrypted_again_is_no_cause() -> None:
    # A migration to another steering takes the rule away for good.
    events = (kernel(149.9, "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv4)", "removed", family=IPFamily.V4),)
    assert Causes(timeline(events=events)).of(clear()).absence is None
    until_the_end = Causes(timeline(events=events)).of(clear(last=199.9))
    assert until_the_end.absence is not None


def test_what_happens_to_the_other_family_is_no_cause() -> None:
    events = (
        kernel(149.8, "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv4)", "removed", family=IPFamily.V4),
        kernel(149.9, "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv6)", "removed", family=IPFamily.V6),
        kernel(151.1, "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv4)", "added", family=IPFamily.V4),
    )
    cause = Causes(timeline(events=events)).of(clear())
    assert cause.event == events[0]
    assert cause.absence is not None


@pytest.mark.parametrize(("first", "last"), [(149.0, 151.0), (150.0, 153.0)])
def test_a_leak_that_does_not_fit_into_the_absence_has_no_proven_cause(first: float, last: float) -> None:
    events = (kernel(149.9, "cilium_wg0", "removed"), kernel(151.5, "cilium_wg0", "created"))
    assert Causes(timeline(events=events)).of(clear(0, first, last)).absence is None


def test_a_frame_of_no_known_flow() -> None:
    (leak,) = leaks(timeline(clear=(clear(flow=-1),)))
    assert "of which flow cannot be told" in str(leak.where)


def test_what_happens_to_any_family_matters_to_a_frame_of_no_known_flow() -> None:
    events = (kernel(149.9, "the rule 1", "removed", family=IPFamily.V6),)
    assert Causes(timeline(events=events)).of(clear(flow=-1)).event == events[0]
    assert Causes(timeline(events=events)).of(clear()).event is None
