"""Every parser on mutated recordings: a value or the one error that it may raise; never a crash and never a hang."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ciliumwg.errors import ObservationError
from tests.observe.test_malformed import PARSERS, Parser

QUICK = settings(max_examples=40, deadline=2000, database=None, suppress_health_check=list(HealthCheck))
ODD = st.sampled_from(
    ["", "\0", "\n", "\t", " ", "{", "]", '"', "-1", "0x", "999999999999999999999", "(none)", "é", "::"]
)
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just([]), st.just({}), ODD
)


def survives(parse: Parser, text: str) -> None:
    """Parse it; any error but the one that parsers may raise is the test's failure."""
    with contextlib.suppress(ObservationError):
        parse(text)


@st.composite
def edited(draw: st.DrawFn, text: str) -> str:
    """The text with a few cuts, repetitions and insertions."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        middle = draw(st.one_of(ODD, st.just(""), st.just(text[start:end] * 2), st.text(max_size=6)))
        text = text[:start] + middle + text[end:]
    return text


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """A decoded document with one of its parts replaced or gone."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        rest = {name: part for name, part in value.items() if name != key}
        return rest if draw(st.booleans()) else rest | {key: draw(damaged(value[key]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(damaged(value[at])), *value[at + 1 :]]
    return draw(JUNK)


@pytest.mark.thorough(but=("links", "rules", "tc", "wg dump", "status", "debuginfo"))
@pytest.mark.parametrize("name", PARSERS)
def test_edited_text(name: str) -> None:
    parse, text = PARSERS[name]

    @QUICK
    @given(edited(text))
    def check(given_text: str) -> None:
        survives(parse, given_text)

    check()


@pytest.mark.parametrize("name", [name for name, (_, text) in PARSERS.items() if text.lstrip().startswith(("[", "{"))])
def test_damaged_documents(name: str) -> None:
    parse, text = PARSERS[name]
    try:
        document = json.loads(text)
    except ValueError:
        pytest.skip("text, though it begins like a document")

    @QUICK
    @given(damaged(document))
    def check(broken: Any) -> None:
        survives(parse, json.dumps(broken))

    check()


@pytest.mark.parametrize("name", PARSERS)
def test_arbitrary_text(name: str) -> None:
    parse, _ = PARSERS[name]

    @QUICK
    @given(st.text(max_size=200))
    def check(text: str) -> None:
        survives(parse, text)

    check()
