"""Where an undelivered flow ended, and whether policies denied enough there to be why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pytest_ciliumwg.model.traffic import Delivery
from pytest_ciliumwg.model.watch import Passage
from pytest_ciliumwg.watch.policies import dropped_by_policies
from tests.verdict.test_judge import FLOW, inside, watch
from tests.watch.made import clear

LOST = Delivery(flow=0, sent=3, received=0, served=0, payload_bytes=192)
SEEN = Passage(frames=3, bytes=180, short=0, first_at=110.0, last_at=120.0)
IN, OUT = (0, True), (0, False)


def ended_on(
    one: Mapping[tuple[int, bool], Passage],
    two: Mapping[tuple[int, bool], Passage],
    drops: Mapping[str, int],
    *,
    missed: int = 0,
) -> str | None:
    """On which node a policy dropped the flow, by what passed inside the tunnel on its two nodes."""
    watches = {
        "one": replace(watch("one", "two"), inside=inside(passages=one, missed=missed)),
        "two": replace(watch("two", "one"), inside=inside(passages=two)),
    }
    return dropped_by_policies([FLOW], {0: LOST}, watches, drops).get(0)


BOTH = {"one": 9, "two": 9}


@pytest.mark.parametrize(
    ("one", "two", "drops", "node"),
    [
        ({}, {}, BOTH, "one"),
        ({IN: SEEN}, {OUT: SEEN}, BOTH, "two"),
        ({IN: SEEN, OUT: SEEN}, {OUT: SEEN, IN: SEEN}, BOTH, "one"),
        ({IN: SEEN}, {}, BOTH, None),  # the tunnel lost it
        ({IN: SEEN}, {OUT: SEEN, IN: SEEN}, BOTH, None),  # the tunnel lost the reply
        ({}, {}, {"two": 9}, None),  # its own node denied nothing, or does not tell
        ({}, {}, {"one": 0}, None),
    ],
)
def test_where_it_ended(
    one: dict[tuple[int, bool], Passage], two: dict[tuple[int, bool], Passage], drops: dict[str, int], node: str | None
) -> None:
    assert ended_on(one, two, drops) == node


def test_a_watch_that_missed_packets_says_nothing() -> None:
    assert ended_on({}, {}, BOTH, missed=1) is None


def test_what_was_seen_outside_has_left_the_node() -> None:
    seen = clear(node="one")
    watches = {
        "one": replace(watch("one", "two"), inside=inside(passages={}), sightings=(seen,)),
        "two": replace(watch("two", "one"), inside=inside(passages={})),
    }
    assert dropped_by_policies([FLOW], {0: LOST}, watches, BOTH) == {}


def test_fewer_drops_than_flows_explain_none_of_them() -> None:
    flows = [replace(FLOW, id=number) for number in range(3)]
    deliveries = {flow.id: replace(LOST, flow=flow.id) for flow in flows}
    watches = {name: replace(watch(name, name), inside=inside(passages={})) for name in ("one", "two")}
    assert dropped_by_policies(flows, deliveries, watches, {"one": 2}) == {}
    assert dropped_by_policies(flows, deliveries, watches, {"one": 3}) == dict.fromkeys(range(3), "one")


def test_what_was_answered_or_not_measured_was_dropped_by_none() -> None:
    watches = {name: replace(watch(name, name), inside=inside(passages={})) for name in ("one", "two")}
    for delivery in (replace(LOST, received=1), replace(LOST, unmeasured="an agent was not run")):
        assert dropped_by_policies([FLOW], {0: delivery}, watches, BOTH) == {}
