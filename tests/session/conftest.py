"""Run the suite as a user does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tests.loaded  # noqa: F401 - it is its import that counts
from pytest_ciliumwg.model.cluster import CiliumConfig
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


Run = Callable[..., SuiteRun]
OWN = '''
import pytest

from pytest_ciliumwg.model.place import Place

TRIES = []


@pytest.mark.ciliumwg_check("own.first", source="the house")
def test_first(verify):
    """The first holds."""
    verify(True, where=Place.everywhere("here"), expected="it", seen="it")


@pytest.mark.ciliumwg_check("own.second", source="the house")
def test_second(verify):
    """The second holds at its second try."""
    TRIES.append(1)
    verify(len(TRIES) > 1 or SECOND, where=Place.everywhere("here"), expected="it", seen="nothing")


def test_no_check():
    pass

SECOND = True
'''
SUITE = 106
"""How many checks the core profile has; those of changes are 9 more."""
EXTENDED = 27
"""Checks of the profile extended."""
OFFLINE = 5
"""Checks that only the record of a cluster has."""
PARTIAL = f"partial: 2 of {SUITE + 2} checks ran, all passed"

DECLARED = CiliumConfig(version="1.20", encryption=True, families=frozenset())


class NoCluster:
    """A plugin that offers a cluster which nobody looks at."""

    def pytest_ciliumwg_cluster(self) -> object:
        return SimpleNamespace(
            provider="lab", description=[], declared=DECLARED, nodes=list, members=list, close=lambda: None,
            test_pods=lambda: [SimpleNamespace(node="somewhere")],
        )  # fmt: skip


@pytest.fixture
def run_own(pytester: pytest.Pytester) -> Run:
    """Run checks of a user's own, which look at no cluster, out of the whole suite."""
    pytester.makepyfile(test_mine=OWN)

    def run(*arguments: str) -> SuiteRun:
        path = Path(pytester.path, "report", "report.json")
        report = f"--ciliumwg-report={path.parent}"
        given = ("--ciliumwg", "--ciliumwg-provider=lab", report, "-p", "no:cacheprovider", *arguments)
        result = pytester.runpytest_inprocess(*given, plugins=[NoCluster()], no_reraise_ctrlc=True)
        return SuiteRun(result, json.loads(path.read_text()) if path.exists() else {})

    return run
