"""Fixtures of a conftest.py or a plugin that take the place of the suite's, by having their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_ciliumwg.checks.check import MARKER

_OURS = ("pytest_ciliumwg.session.fixtures", "pytest_ciliumwg.session.fixture_api")


def refuse_shadowed(items: Iterable[pytest.Item]) -> None:
    """See that every check gets the fixtures that it means: pytest hands out the nearest one of a name.

    Raises:
        pytest.UsageError: a check would get another one.
    """
    for item in items:
        if item.get_closest_marker(MARKER) is not None:
            for name, chosen in _instead(item):
                raise pytest.UsageError(
                    f"{chosen}: its fixture {name!r} would take the place of the suite's in the check {item.nodeid}: "
                    "give it another name, or leave all conftest.py out with --noconftest"
                )


def _instead(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """(Name, file) of fixtures of others which a check gets in place of the suite's; its own module may have some."""
    known: Mapping[str, Sequence[Any]] = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name, found in known.items():
        *others, chosen = (getattr(definition.func, "__globals__", {}) for definition in found)
        shadows = any(where.get("__name__") in _OURS for where in others)
        if shadows and chosen.get("__name__") not in _OURS and chosen.get("__file__") != str(item.path):
            yield name, chosen.get("__file__", "a plugin")
