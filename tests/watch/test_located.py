"""Where a flow was served that any of several pods could have answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_ciliumwg.model.traffic import Flow
from pytest_ciliumwg.model.watch import InsideReport, Passage, WatchReport
from pytest_ciliumwg.watch.located import located
from tests.verdict.test_judge import FLOW
from tests.watch.made import clear

PASSED = Passage(frames=3, bytes=300, short=0, first_at=1.0, last_at=2.0)
ASKED = replace(FLOW, path="pod-to-dns", served_by=("one", "two", "three"))


def watch(node: str, *passages: tuple[int, bool], missed: int = 0, **more: Any) -> WatchReport:
    inside = InsideReport(present=True, missed=missed, controls=frozenset(), passages=dict.fromkeys(passages, PASSED))
    given: dict[str, Any] = {"sightings": (), "inside": inside} | more
    return WatchReport(node=node, started=0.0, stopped=9.0, devices={}, controls=frozenset(), **given)


def where(flow: Flow, *watches: WatchReport) -> list[str]:
    return [found.destination_node for found in located([flow], {watch.node: watch for watch in watches})]


def test_what_was_known_before_stays() -> None:
    assert where(FLOW, watch("one"), watch("two"), watch("three", (0, False))) == ["two"]


@pytest.mark.parametrize(
    "seen", [{"inside": watch("three", (0, False)).inside}, {"sightings": (clear(node="three", outgoing=False),)}]
)
def test_it_was_served_where_it_arrived(seen: dict[str, Any]) -> None:
    assert where(ASKED, watch("one", (0, True)), watch("two"), watch("three", **seen)) == ["three"]


def test_what_never_left_its_node_was_served_there_and_is_left_out() -> None:
    assert where(ASKED, watch("one"), watch("two"), watch("three")) == []


@pytest.mark.parametrize(
    "own",
    [
        watch("one", (0, True)),
        watch("one", missed=1),
        watch("one", inside=None),
        watch("one", sightings=(clear(node="one"),)),
    ],
)
def test_what_left_or_may_have_is_judged(own: WatchReport) -> None:
    assert where(ASKED, own, watch("two"), watch("three")) == ["two"]


def test_without_a_pod_on_its_own_node_it_went_another_way() -> None:
    assert where(replace(ASKED, served_by=("two", "three")), watch("one"), watch("two"), watch("three")) == ["two"]
