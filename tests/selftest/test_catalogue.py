"""The catalogue: every fault is declared in full, and only with checks that the suite has."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pytest_ciliumwg.checks.check import Check
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.faults import FAULTS
from pytest_ciliumwg.faults.catalogue import Doubt
from pytest_ciliumwg.faults.catalogue import fault as catalogued
from pytest_ciliumwg.providers.lab import LabSpec
from pytest_ciliumwg.selftest.runs import HEALTHY, plan
from pytest_ciliumwg.session.collected import collect

SPECS = [LabSpec(cilium_version=version) for version in ("1.13", DEFAULT_VERSION)]


@pytest.fixture(scope="module")
def checks() -> frozenset[str]:
    return frozenset(check.id for item in collect() if (check := Check.of(item)))


def test_every_fault_is_declared_in_full(checks: frozenset[str]) -> None:
    assert len(FAULTS) >= 45
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert all([fault.description, fault.shows, fault.source])
        assert fault.check_id in checks, name
        for also in fault.also:
            pattern = also.pattern if isinstance(also, Doubt) else also
            assert any(fnmatchcase(check, pattern) for check in checks), (name, pattern)


def test_every_fault_exists_in_one_of_the_labs() -> None:
    planned = {run.name for run in plan(SPECS, list(FAULTS.values()))}
    assert planned == {HEALTHY, *(name for name, fault in FAULTS.items() if not fault.during)}


def test_the_advisories_that_a_lab_can_imitate_are_there() -> None:
    sources = " ".join(fault.source for fault in FAULTS.values())
    for number in ("CVE-2024-25630", "CVE-2024-25631", "CVE-2024-28250", "CVE-2025-32793"):
        assert number in sources
    for issue in (20925, 25492, 28413, 31921, 31979, 33159, 35644, 23917, 46687, 46864):
        assert str(issue) in sources


def test_a_name_belongs_to_one_fault() -> None:
    with pytest.raises(ValueError, match="two faults of the name 'leak-pair'"):
        catalogued("leak-pair", description="", shows="", source="", catcher="wire.no-cleartext")


def test_faults_of_the_profile_extended_run_with_it_and_others_without() -> None:
    profile_of = {check.id: check.profile for item in collect() if (check := Check.of(item))}
    caught = {fault.check_id for fault in FAULTS.values() if fault.extended}
    assert caught == {check for check, profile in profile_of.items() if profile == "extended"}
    assert len(caught) >= 12
    for run in plan(SPECS, list(FAULTS.values())):
        assert run.extended is (run.name == HEALTHY or FAULTS[run.name].extended)


def test_the_longest_run_starts_first() -> None:
    assert plan(SPECS, list(FAULTS.values()))[0].seconds == max(fault.seconds for fault in FAULTS.values())


def test_faults_are_functions_of_short_files() -> None:
    files = list(Path(__file__).parents[2].joinpath("pytest_ciliumwg", "faults").rglob("*.py"))
    assert len(files) > 20
    assert all(len(file.read_text(encoding="utf-8").splitlines()) < 320 for file in files)
