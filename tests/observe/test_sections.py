"""What `show` prints of many commands is taken apart again."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.observe.sections import Reader, section_text

LONG = f'["{"x" * 100_000} @@@ routes status"]'
TEXT = "\n".join([section_text("routes", LONG), section_text("links", error="ip: command not found"), ""])


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n")], ids=["as it is", "with the line ends of Windows"])
def test_sections(text: str) -> None:
    reader = Reader(text)
    assert reader.section("routes").good() == LONG
    with pytest.raises(ObservationError, match="command not found"):
        reader.section("links").good()


def test_output_that_was_cut_off_misses_its_status() -> None:
    with pytest.raises(ObservationError, match="was cut off"):
        Reader(TEXT[: len(LONG)]).section("routes")
