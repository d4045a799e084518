"""Passages in arrays are the same mapping as passages in a dictionary."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.model.passages import Passages
from pytest_ciliumwg.model.watch import Passage

FOUND = {
    (7, True): Passage(frames=5, bytes=2**40, short=0, first_at=1.7e9 + 1 / 3, last_at=1.7e9 + 2 / 3, numbers=0),
    (7, False): Passage(frames=0, bytes=0, short=3, first_at=0.1, last_at=0.2),
    (0, False): Passage(frames=1, bytes=2, short=0, first_at=0.0, last_at=0.0, numbers=4),
    (2**31, True): Passage(frames=9, bytes=2, short=1, first_at=0.5, last_at=0.5, numbers=9),
}


def test_the_same_mapping() -> None:
    passages = Passages(FOUND)
    assert passages == FOUND
    assert {**passages} == FOUND
    assert dict(passages.items()) == FOUND
    assert len(passages) == 4
    assert all(outgoing is True or outgoing is False for _, outgoing in passages)


@pytest.mark.parametrize("key", [(0, True), (1, False), (8, False), (2**31 + 1, True)])
def test_what_did_not_pass(key: tuple[int, bool]) -> None:
    assert key not in Passages(FOUND)
    assert key not in Passages({})
    with pytest.raises(KeyError):
        Passages(FOUND)[key]
