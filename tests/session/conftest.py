"""Run the suite as a user does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tests.loaded  # noqa: F401 - it is its import that counts
from pytest_ciliumwg.options.table import OPTIONS
from tests.report.html.parsed import Page
from tests.report.schema import problems


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """A finished run: pytest's result and the report."""

    result: pytest.RunResult
    report: dict[str, Any]
    html: str = ""

    @property
    def page(self) -> Page:
        """What report.html shows."""
        return Page(self.html)

    def outcome(self, outcome: str) -> dict[str, str]:
        """Title → message of the checks with an outcome."""
        return {check["title"]: check["message"] for check in self.report["checks"] if check["outcome"] == outcome}


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", *(option.env for option in OPTIONS)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run_lab(pytester: pytest.Pytester) -> Callable[..., SuiteRun]:
    """Run the suite on a lab, with more arguments."""

    def run(*arguments: str) -> SuiteRun:
        report = Path(pytester.path, "report")
        result = pytester.runpytest_inprocess(
            "--ciliumwg", "--ciliumwg-provider=lab", f"--ciliumwg-report={report}", "-p", "no:cacheprovider", *arguments
        )
        path = report / "report.json"
        document = json.loads(path.read_text()) if path.exists() else {}
        assert not (document and problems(document))
        page = report / "report.html"
        return SuiteRun(result, document, page.read_text("utf-8") if page.exists() else "")

    return run


@pytest.fixture
def judge_again(pytester: pytest.Pytester) -> Callable[..., SuiteRun]:
    """Judge what the last run saw once more, from its report alone."""

    def run(*more: str) -> SuiteRun:
        before, report = Path(pytester.path, "report"), Path(pytester.path, "again")
        arguments = [
            "--ciliumwg",
            "--ciliumwg-provider=offline",
            f"--ciliumwg-input={before}",
            "-p",
            "no:cacheprovider",
            *more,
        ]
        result = pytester.runpytest_inprocess(*arguments, f"--ciliumwg-report={report}")
        document = json.loads((report / "report.json").read_text())
        assert not problems(document)
        return SuiteRun(result, document)

    return run
