"""The reader of `cilium.toml`: which value a fact has at a version, and who says so."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

from pytest_ciliumwg.expect.versions import Version, parse_version


@functools.cache
def table() -> dict[str, Any]:
    """The whole table, read once."""
    text = resources.files("pytest_ciliumwg.expect").joinpath("cilium.toml").read_text("utf-8")
    return tomllib.loads(text)


def known_version(text: str) -> Version:
    """Read a version and make sure that the table covers it.

    Raises:
        ValueError: `text` is no version, or older or newer than every version that the table knows.
    """
    version = parse_version(text)
    known = table()["versions"]
    oldest, newest = parse_version(known["oldest"]), parse_version(known["newest_minor"])
    if (version.major, version.minor) < (oldest.major, oldest.minor) or version > newest:
        message = (
            f"Cilium {text} is out of the known range: what to expect is known for {known['oldest']} to "
            f"{known['newest_minor']}; declare the nearest of these if you want to try"
        )
        raise ValueError(message)
    return version


@functools.cache
def fact(name: str, version: Version) -> Any:
    """The value of a fact at a version: that of the last step at or before it; its shape is the fact's own."""
    steps = table()["facts"][name]["steps"]
    value: Any = steps[0]["value"]
    for step in steps:
        if parse_version(step["since"]) > version:
            break
        value = step["value"]
    return value


def source(name: str) -> str:
    """Where a fact is known from, for reports and messages.

    Args:
        name: The fact, spelled as in `cilium.toml`, such as `steering`.

    Raises:
        ValueError: there is no such fact.
    """
    facts = table()["facts"]
    if name not in facts:
        message = f"there is no fact {name!r}; the facts are {', '.join(sorted(facts))}"
        raise ValueError(message)
    return str(facts[name]["source"])


def availability(name: str) -> str:
    """In words, for the user: which versions have the option that a fact is about."""
    return str(table()["facts"][name]["available"])


DEFAULT_VERSION: str = table()["versions"]["newest"]
"""The newest release that the table was made for; the expectation of a user who declares no version."""
OLDEST_MINOR: str = table()["versions"]["oldest"]
NEWEST_MINOR: str = table()["versions"]["newest_minor"]
