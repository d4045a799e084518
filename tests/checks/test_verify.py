"""A check comes to what it verified: nothing verified is no pass, and a place is data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _pytest.outcomes import Failed, Skipped

from pytest_ciliumwg.checks.verify import InconclusiveError, Verify
from pytest_ciliumwg.model.place import Place

HERE = Place.of_node("one")


def test_nothing_verified_is_no_pass() -> None:
    with pytest.raises(InconclusiveError, match="nothing was there to verify"):
        Verify().conclude("it holds")


def test_what_holds_passes() -> None:
    verify = Verify()
    verify(True, where=HERE, expected=1, seen=1)
    verify.conclude("it holds")
    assert verify.verified == 1


def test_places_that_are_counted_pass_and_none_is_no_pass() -> None:
    verify = Verify()
    verify.held(0)
    with pytest.raises(InconclusiveError, match="nothing was there to verify"):
        verify.conclude("it holds")
    verify.held()
    verify.held(2)
    verify.conclude("it holds")
    assert verify.verified == 3


def test_a_finding_fails_whatever_else_there_is() -> None:
    verify = Verify()
    verify(True, where=HERE, expected=1, seen=1)
    verify(False, where=HERE, expected=1, seen=2, meaning="It is bad.")
    verify.unmeasured(HERE, "it was away")
    with pytest.raises(Failed, match=r"it holds\none: expected 1; seen: 2\. It is bad\."):
        verify.conclude("it holds")


def test_what_was_not_measured_is_inconclusive_though_the_rest_holds() -> None:
    verify = Verify()
    verify(True, where=HERE, expected=1, seen=1)
    verify.unmeasured(HERE, "it was away")
    with pytest.raises(InconclusiveError, match="one: it was away"):
        verify.conclude("it holds")


def test_what_is_not_supported_is_a_reason_to_skip_only_when_nothing_was_verified() -> None:
    verify = Verify()
    verify.unsupported(HERE, "there is none")
    with pytest.raises(Skipped, match="one: there is none"):
        verify.conclude("it holds")
    verify(True, where=HERE, expected=1, seen=1)
    verify.conclude("it holds")


WORDS: dict[str, Callable[[Any], object]] = {
    "verify": lambda verify: verify(True, where="here", expected=1, seen=1),
    "unmeasured": lambda verify: verify.unmeasured("here", "why"),
    "unsupported": lambda verify: verify.unsupported("here", "why"),
}


@pytest.mark.parametrize("call", WORDS)
def test_words_are_no_place(call: str) -> None:
    with pytest.raises(TypeError, match=r"where='here' is no Place: write Place\.of_node"):
        WORDS[call](Verify())
