"""Real runs compared: two of the same are equal, and a fault is all that differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ciliumwg.cli import main

from .conftest import SuiteRun


@pytest.mark.slow
def test_runs(run_lab: Callable[..., SuiteRun], pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    def kept(name: str, *arguments: str) -> str:
        run_lab("--ciliumwg-nodes=2", *arguments)
        return str(Path(pytester.path, "report").rename(pytester.path / name))

    fault = "--ciliumwg-fault=rule-deleted@lab-worker"
    old = "--ciliumwg-cilium-version=1.13.18"
    first, second = kept("first", old), kept("second", old)
    broken, again = kept("broken", old, fault), kept("again", old, fault)
    capsys.readouterr()
    for one, other in ((first, second), (broken, again)):
        assert main(["compare", one, other]) == 0
        assert "The two runs are equal." in capsys.readouterr().out
    assert main(["compare", first, broken, "--format=json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert not any(said[kind] for kind in ("fixed", "appeared", "disappeared"))
    (finding,) = [row for row in said["regressed"] if row["subject"] == "finding"]
    assert finding["name"] == "lab-worker"
    assert "ip rule" in finding["after"]
    assert {row["name"] for row in said["regressed"] if row["subject"] == "pair"} == {
        "lab-worker → lab-control-plane",
        "lab-control-plane → lab-worker",
    }
    checks = {row["name"].partition("[")[0] for row in said["regressed"] if row["subject"] == "check"}
    assert {"steering.rule", "wire.no-cleartext"} <= checks
    assert main(["compare", broken, first]) == 0
    assert "### Fixed" in capsys.readouterr().out


def test_checks_are_listed_from_any_folder(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\naddopts = --nonsense")
    monkeypatch.setenv("CILIUMWG_PROVIDER", "nobody")
    assert main(["checks", "--format=json"]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert len({row["id"] for row in checks}) == len(checks) > 60
    assert {row["profile"] for row in checks} == {"core", "extended", "disruptive"}
    assert main(["checks"]) == 0
    assert capsys.readouterr().out.count("\n") == len(checks)
