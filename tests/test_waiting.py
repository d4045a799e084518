"""The one wait: it asks once at least, tells what is missing when that changes, and says what was missing at last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_ciliumwg.waiting import for_each, wait_for


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
