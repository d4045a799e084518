"""The one wait: it asks once at least, tells what is missing when that changes, and says what was missing at last."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pytest_ciliumwg.waiting import first_trouble, for_each, wait_for


def said(*words: str) -> Iterator[str]:
    """These words one after the other, then the last one for ever."""
    yield from words
    while True:
        yield words[-1]


def test_nothing_is_missing_in_the_end() -> None:
    words, told, pauses = said("three", "three", "two", ""), list[str](), list[float]()
    assert not wait_for(lambda: next(words), seconds=60, poll=0.25, progress=told.append, sleep=pauses.append)
    assert told == ["three", "two"]
    assert pauses == [0.25] * 3


def test_time_is_up() -> None:
    asked = []

    def missing() -> str:
        asked.append(1)
        return f"the {len(asked)}. answer"

    assert wait_for(missing, seconds=0, poll=0.01) == "the 1. answer"
    assert len(asked) == 1


def test_an_error_ends_it() -> None:
    def missing() -> str:
        raise ValueError("it can never be")

    with pytest.raises(ValueError, match="never"):
        wait_for(missing, seconds=60, poll=1)


def test_for_each_keeps_the_order_and_raises_what_was_raised() -> None:
    assert for_each(lambda number: number * 2, range(100), at_once=7) == [number * 2 for number in range(100)]
    with pytest.raises(ZeroDivisionError):
        for_each(lambda number: 1 // number, [1, 0, 2])


def test_time_begins_anew_whenever_it_has_advanced() -> None:
    done = []

    def missing() -> str:
        done.append(1)
        return "" if len(done) == 6 else "more"

    assert wait_for(missing, seconds=0.2, poll=0.1) == "more", "0.2 s are three questions"
    done.clear()
    assert not wait_for(missing, seconds=0.2, poll=0.1, advance=lambda: len(done))


def test_time_is_up_when_it_does_not_advance() -> None:
    started = time.monotonic()
    assert wait_for(lambda: "more", seconds=0.1, poll=0.02, advance=lambda: 3) == "more"
    assert time.monotonic() - started >= 0.1


def test_the_first_trouble_ends_the_wait_for_it() -> None:
    words, pauses = said("", "", "it is gone", "something else"), list[float]()
    assert first_trouble(lambda: next(words), seconds=60, poll=0.25, sleep=pauses.append) == "it is gone"
    assert pauses == [0.25, 0.25]


def test_no_trouble_is_waited_for_to_the_end() -> None:
    started = time.monotonic()
    assert first_trouble(lambda: "", seconds=0.1, poll=0.02) == ""
    assert time.monotonic() - started >= 0.1
