"""The forms for issues, the hooks for pre-commit and dependabot's settings are what those programs read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
FORMS = sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml"))


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_something_under_unique_ids(path: Path) -> None:
    form = yaml.safe_load(path.read_text("utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["attributes"]["label"] for part in fields)
    assert len({part["id"] for part in fields}) == len(fields)
    assert any(part.get("validations", {}).get("required") for part in fields)


def test_there_is_a_form_for_each_kind_of_report() -> None:
    assert [path.stem for path in FORMS] == ["bug", "feature", "wrong-verdict"]


def test_hooks_are_local_and_the_programs_of_continuous_integration() -> None:
    (repository,) = yaml.safe_load(ROOT.joinpath(".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repository["repo"] == "local"
    programs = [hook["entry"].removeprefix(".venv/bin/") for hook in repository["hooks"]]
    assert programs == ["ruff check --fix", "ruff format", "mypy"]


def test_dependabot_looks_after_actions_and_packages() -> None:
    settings = yaml.safe_load(ROOT.joinpath(".github/dependabot.yml").read_text("utf-8"))
    assert {update["package-ecosystem"] for update in settings["updates"]} == {"github-actions", "pip"}
