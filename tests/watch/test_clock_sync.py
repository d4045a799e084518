"""Clocks that are off are measured by frames that two captures stamped."""

from __future__ import annotations

import random

import pytest

from pytest_ciliumwg.watch.clock_sync import WINDOW_SECONDS, Clocks


def test_offsets_by_frames_are_better_than_by_requests() -> None:
    clocks, ahead, chance = Clocks(), {"a": 0.0, "b": -3600.25, "c": 7.5}, random.Random(7)  # noqa: S311 - no secret
    now = 1000.0
    for _ in range(50):
        now += 0.1
        for node, offset in ahead.items():
            there, back = chance.uniform(0.05, 0.4), chance.uniform(0.05, 0.4)  # as an exec through an API server
            clocks.answered(node, now, now + there + offset, now + there + back)
        for node in ahead:
            for peer in ahead:
                if node != peer:
                    wire = 0.0002 + chance.expovariate(5000)
                    clocks.frame(now, node, peer, now + ahead[node], now + wire + ahead[peer])
    found = clocks.offsets(ahead)
    between = found["b"].ahead - found["a"].ahead
    assert between == pytest.approx(-3600.25, abs=0.001)
    assert found["c"].ahead - found["a"].ahead == pytest.approx(7.5, abs=0.001)
    for node, told in found.items():
        assert abs(told.ahead - ahead[node]) <= told.uncertainty < 0.3


def test_without_frames_requests_have_to_do() -> None:
    clocks = Clocks()
    clocks.answered("a", 10.0, 15.1, 10.2)
    clocks.answered("b", 10.0, 10.5, 11.0)
    found = clocks.offsets(["a", "b", "silent"])
    assert found.keys() == {"a", "b"}
    assert (found["a"].ahead, found["a"].uncertainty) == pytest.approx((5.0, 0.1))
    assert (found["b"].ahead, found["b"].uncertainty) == pytest.approx((0.0, 0.5))


def test_a_clock_that_is_stepped_is_followed() -> None:
    clocks = Clocks()
    clocks.answered("a", 10.0, 10.05, 10.1)
    clocks.answered("a", 10.0 + 3 * WINDOW_SECONDS, 60.05 + 3 * WINDOW_SECONDS, 10.1 + 3 * WINDOW_SECONDS)
    assert clocks.offsets(["a"])["a"].ahead == pytest.approx(50.0)


def test_nothing_known() -> None:
    assert Clocks().offsets(["a"]) == {}
