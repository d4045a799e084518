"""The workflows are pinned, have least permissions, and test combinations that can be."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml  # type: ignore[import-untyped]

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.options import OPTIONS
from pytest_ciliumwg.providers.kind import KindSpec

GITHUB = Path(__file__).parents[2] / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FAMILIES = {"v4": {IPFamily.V4}, "v6": {IPFamily.V6}, "dual": set(IPFamily)}
PINNED = re.compile(r"^\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
WRITES = {"nightly": {"tell": {"issues": "write"}}}


def read(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(path.read_text("utf-8")))


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        yield from job["steps"]


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


def test_there_are_workflows() -> None:
    assert {"ci", "nightly", "upgrade"} <= set(names(WORKFLOWS))


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_every_action_is_pinned_by_its_commit_with_its_version(path: Path) -> None:
    lines = [line for line in path.read_text("utf-8").splitlines() if "uses:" in line]
    assert lines
    assert all(PINNED.match(line) for line in lines), lines


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_permissions_are_none_but_what_a_job_needs(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"] == WRITES.get(path.stem, {}).get(name, {"contents": "read"})
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_a_checkout_leaves_no_credentials_and_no_script_is_made_of_expressions(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("name", ["nightly", "upgrade"])
def test_settings_are_options(name: str) -> None:
    known = {option.env for option in OPTIONS}
    for step in steps(GITHUB / "workflows" / f"{name}.yml"):
        assert {name for name in step.get("env", {}) if name.startswith("CILIUMWG_")} <= known


def test_every_combination_of_the_night_can_be_made() -> None:
    matrix = json.loads(GITHUB.joinpath("nightly.json").read_text("utf-8"))
    extra = [(row["cilium"], row["routing"], row["ip_family"]) for row in matrix["include"]]
    for version, routing, family in [
        *itertools.product(matrix["cilium"], matrix["routing"], matrix["ip_family"]),
        *extra,
    ]:
        KindSpec(cilium_version=version, routing_mode=routing, families=frozenset(FAMILIES[family])).check()


def test_the_default_way_of_an_upgrade_can_be_gone() -> None:
    # YAML 1.1 takes the key `on` for a truth.
    inputs = cast("dict[Any, Any]", read(GITHUB / "workflows" / "upgrade.yml"))[True]["workflow_dispatch"]["inputs"]
    first, *others = inputs["versions"]["default"].split(",")
    assert others
    KindSpec(cilium_version=first, upgrade_path=tuple(others), routing_mode=inputs["routing"]["default"]).check()
