"""A text that was read is not read again."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.observe.iproute import routes_from_ip
from pytest_ciliumwg.observe.once import Once

ROUTES = '[{"dst": "10.0.7.0/24", "gateway": "172.18.0.9", "dev": "eth7", "flags": []}]'


def test_each_text_and_kind_is_read_once_and_not_too_many_are_kept() -> None:
    once, read = Once[int](most=2), list[str]()

    def length(text: str, kind: str) -> int:
        def make() -> int:
            read.append(text + kind)
            return len(text)

        return once.of(text, kind, make)

    assert [length("one", "a"), length("one", "a"), length("one", "b"), length("three", "a")] == [3, 3, 3, 5]
    assert read == ["onea", "oneb", "threea"]
    length("one", "a")
    assert read[3:] == ["onea"], "the first were forgotten"


def test_routes_of_another_table_are_other_routes_and_errors_are_not_kept() -> None:
    first, again = (routes_from_ip(ROUTES, IPFamily.V4, "main") for _ in range(2))
    assert first is again
    assert [route.table for route in routes_from_ip(ROUTES, IPFamily.V4, "201")] == ["201"]
    for _ in range(2):
        with pytest.raises(ObservationError, match="is not of the family v6"):
            routes_from_ip(ROUTES, IPFamily.V6, "main")
