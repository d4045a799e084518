"""Canaries: read back from any cut of a payload, and not to be made by whoever reads one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ciliumwg.agent.canary import CONTROL, REPLY, REQUEST, SIZE, WHOLE_WITHIN, Canaries, fill

OURS, OTHERS = Canaries.of(b"ours"), Canaries.of(b"others")


@pytest.mark.parametrize("mark", [REQUEST, REPLY, CONTROL])
@pytest.mark.parametrize("public", [True, False])
def test_a_canary_is_read_back(mark: int, public: bool) -> None:
    token = OURS.make(70000, mark, public=public)
    assert len(token) == SIZE
    assert OURS.read(b"before" + token, 6) == (70000, mark)
    assert OTHERS.read(token) is None


@settings(deadline=None)
@given(st.integers(0, 200))
def test_any_cut_that_is_long_enough_holds_a_whole_one(at: int) -> None:
    cut = fill(OURS.make(5, REQUEST), 400)[at : at + WHOLE_WITHIN]
    assert OURS.read(cut, cut.index(OURS.prefix)) == (5, REQUEST)


def test_what_crosses_the_network_in_clear_shows_half_of_the_other_prefix() -> None:
    for token in (OURS.make(1, CONTROL), OURS.make(1, REQUEST, public=True)):
        assert token.startswith(OURS.public_prefix)
        assert not token.startswith(OURS.prefix)
    assert OURS.prefix[:4] == OURS.public_prefix[:4] == OURS.common


def test_another_number_or_mark_needs_the_key() -> None:
    control = OURS.make(1, CONTROL)
    for number in range(256):
        assert OURS.read(control[:11] + bytes([number]) + control[12:]) == ((1, CONTROL) if number == 1 else None)
    assert OURS.read(OURS.prefix + control[8:]) is None, "a control is no flow, whatever prefix it is given"


@settings(deadline=None)
@given(st.binary(max_size=20))
def test_any_bytes_are_a_canary_or_none(data: bytes) -> None:
    assert OURS.read(data) is None
