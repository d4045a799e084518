"""The workflows are pinned, have least permissions, and test combinations that can be."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml  # type: ignore[import-untyped]

from pytest_ciliumwg.cli import main
from pytest_ciliumwg.expect.night import night, upgrades
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.options.table import OPTIONS
from pytest_ciliumwg.providers.kind import KindSpec

GITHUB = Path(__file__).parents[2] / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FAMILIES = {"v4": {IPFamily.V4}, "v6": {IPFamily.V6}, "dual": set(IPFamily)}
PINNED = re.compile(r"^\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
READ = {"contents": "read"}
WRITES = {
    "nightly": {"tell": {**READ, "actions": "read", "issues": "write"}},
    "release": {"publish": {**READ, "attestations": "write", "id-token": "write"}},
    "versions": {"propose": {**READ, "issues": "write"}},
}


def read(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(path.read_text("utf-8")))


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        yield from job["steps"]


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


def test_there_are_workflows() -> None:
    assert {"ci", "nightly", "release", "upgrade", "versions"} == set(names(WORKFLOWS))


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_every_action_is_pinned_by_its_commit_with_its_version(path: Path) -> None:
    lines = [line for line in path.read_text("utf-8").splitlines() if "uses:" in line and not line.startswith("#")]
    assert lines
    assert all(PINNED.match(line) for line in lines), lines


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_permissions_are_none_but_what_a_job_needs(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"] == WRITES.get(path.stem, {}).get(name, READ)
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
    matrix = night()
    extra = [(row["cilium"], row["routing"], row["ip_family"]) for row in matrix["include"]]
    for version, routing, family in [
        *itertools.product(matrix["cilium"], matrix["routing"], matrix["ip_family"]),
        *extra,
    ]:
        KindSpec(cilium_version=version, routing_mode=routing, families=frozenset(FAMILIES[family])).check()


def inputs_of(trigger: str) -> dict[str, Any]:
    # YAML 1.1 takes the key `on` for a truth.
    triggers = cast("dict[Any, Any]", read(GITHUB / "workflows" / "upgrade.yml"))[True]
    return cast("dict[str, Any]", triggers[trigger]["inputs"])


def test_every_upgrade_can_be_made() -> None:
    for pair in upgrades()["versions"]:
        first, *others = pair.split(",")
        routing = inputs_of("workflow_dispatch")["routing"]["default"]
        KindSpec(cilium_version=first, upgrade_path=tuple(others), routing_mode=routing).check()


def test_an_upgrade_is_called_as_it_is_started_by_hand() -> None:
    called, by_hand = inputs_of("workflow_call"), inputs_of("workflow_dispatch")
    assert called.keys() == by_hand.keys()
    differ = [name for name in called if called[name]["default"] != by_hand[name]["default"]]
    assert differ == ["package"]


def test_a_matrix_is_one_line_for_a_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix"]) == 0
    assert json.loads(capsys.readouterr().out) == night()
    assert main(["matrix", "--pairs", "1.18,1.19 1.19,1.20"]) == 0
    assert capsys.readouterr().out == '{"versions": ["1.18,1.19", "1.19,1.20"]}\n'
    assert main(["matrix", "--pairs", "1.18"]) == 2
    assert "'1.18' is no pair of versions" in capsys.readouterr().err


def run_python(script: str, *arguments: str) -> str:
    command = [sys.executable, str(GITHUB.parent / "ci" / script), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_newer_versions_are_proposed_and_known_ones_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "--known"]) == 0
    here = json.loads(capsys.readouterr().out)
    newest = here["kubernetes"][0]

    def said(cilium: str, kind: str, kubernetes: str) -> list[str]:
        files = []
        for name, content in (("known", here), ("a", [cilium, "v9.0.0-rc.1"]), ("b", [kind]), ("c", [kubernetes])):
            files.append(tmp_path / name)
            files[-1].write_text(json.dumps(content))
        return run_python("newer_versions.py", *map(str, files)).splitlines()

    assert said(f"v{here['cilium']}", f"v{here['kind']}", f"v{newest}") == []
    lines = said("v1.99.0", "v0.99.0", "v1.99.0")
    assert [line.split(" (")[0].split(":")[0] for line in lines] == [
        "- [ ] Cilium 1.99.0", "- [ ] kind 0.99.0", "- [ ] Kubernetes 1.99.0",
    ]  # fmt: skip
    assert "a new minor" in lines[0]


def test_every_dependency_has_a_lower_bound() -> None:
    lines = run_python("lowest.py", str(GITHUB.parent / "pyproject.toml"), "test").splitlines()
    assert {"pytest==9.1", "kubernetes==37", "jinja2==3.1"} <= set(lines)
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", line) for line in lines)
