from __future__ import annotations

import itertools

import pytest

from pytest_ciliumwg.expect import NEWEST_MINOR, OLDEST_MINOR, parse_version, source
from pytest_ciliumwg.expect.facts import fact, table

FACTS = sorted(table()["facts"])
MINORS = range(parse_version(OLDEST_MINOR).minor, parse_version(NEWEST_MINOR).minor + 1)


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_covers_all_versions_without_gap_or_overlap(name: str) -> None:
    since = [parse_version(step["since"]) for step in table()["facts"][name]["steps"]]
    assert since[0] == parse_version(f"{OLDEST_MINOR}.0")
    assert all(earlier < later for earlier, later in itertools.pairwise(since))
    assert since[-1] <= parse_version(f"{NEWEST_MINOR}.0")


@pytest.mark.parametrize("name", FACTS)
def test_the_steps_of_a_fact_differ_and_name_a_patch(name: str) -> None:
    steps = table()["facts"][name]["steps"]
    assert all(step["since"].count(".") == 2 for step in steps)
    assert all(earlier["value"] != later["value"] for earlier, later in itertools.pairwise(steps))


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_has_one_shape_at_every_version(name: str) -> None:
    values = [fact(name, parse_version(f"1.{minor}")) for minor in MINORS]
    assert len({type(value) for value in values}) == 1


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_says_what_it_is_and_who_says_so(name: str) -> None:
    assert table()["facts"][name]["about"].endswith(".")
    assert len(source(name)) > 20


def test_there_is_no_source_for_what_is_no_fact() -> None:
    with pytest.raises(ValueError, match="there is no fact 'weather'; the facts are agent_binary,"):
        source("weather")
