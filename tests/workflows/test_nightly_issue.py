"""The step of nightly.yml that keeps one issue, run as it stands there, with a stand-in for GitHub's program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.report.documents import check, document, pair

NIGHTLY = Path(__file__).parents[2] / ".github" / "workflows" / "nightly.yml"
STEP = next(
    step for step in yaml.safe_load(NIGHTLY.read_text("utf-8"))["jobs"]["tell"]["steps"] if "keep one" in str(step)
)
GH = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$1 $2" in
    "run list") echo "$LAST" ;;
    "run download") cp -r "$OLD"/. old/ ;;
    "issue list") echo "$OPEN" ;;
esac
"""
GOOD = document(check("a.b"), outcome="conformant")
BAD = document(check("a.b", "fail"), outcome="not-conformant", pairs=[pair("a", "b", "cleartext")])


def written(directory: Path, reports: dict[str, Any]) -> Path:
    for name, report in reports.items():
        directory.joinpath(name).mkdir(parents=True)
        directory.joinpath(name, "report.json").write_text(json.dumps(report), encoding="utf-8")
    directory.mkdir(exist_ok=True)
    return directory


Reports = dict[str, Any]


def night(tmp_path: Path, result: str, *, opened: str, old: Reports, new: Reports) -> list[str]:
    """What GitHub's program is asked for after a night."""
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(GH)
    gh.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    written(work / "new", new)
    environment = {
        "PATH": f"{gh.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "LAST": "7",
        "OPEN": opened,
        "OLD": str(written(tmp_path / "kept", old)),
        "RESULT": result,
        "RUN": "https://github.example/run/8",
        "WORKFLOW": "nightly",
    }
    subprocess.run(["bash", "-e", "-c", STEP["run"]], cwd=work, env=environment, check=True, capture_output=True)
    return (tmp_path / "calls").read_text().splitlines()


def text(tmp_path: Path) -> str:
    return (tmp_path / "work" / "issue.md").read_text("utf-8")


def test_a_regression_opens_one_issue_with_the_difference(tmp_path: Path) -> None:
    old = {"report-1.20-native-v4": GOOD, "report-1.18-vxlan-v4": GOOD}
    calls = night(tmp_path, "failure", opened="", old=old, new={"report-1.20-native-v4": BAD})
    assert calls[-1].startswith("issue create --title The nightly run is not as the last green one")
    told = text(tmp_path)
    assert "compared with run 7" in told
    assert "# report-1.20-native-v4" in told
    assert "Regressed" in told
    assert "# report-1.18-vxlan-v4\n\nIt came to no report; the earlier one did." in told


def test_the_issue_is_brought_up_to_date_and_closed_when_green(tmp_path: Path) -> None:
    calls = night(tmp_path, "failure", opened="12", old={}, new={"report-x": BAD})
    assert [call.split(" --")[0] for call in calls[-2:]] == ["issue edit 12", "issue comment 12"]
    assert "There is no earlier report of it." in text(tmp_path)


@pytest.mark.parametrize(("opened", "closing"), [("12", 1), ("", 0)])
def test_a_green_night_closes_it(tmp_path: Path, opened: str, closing: int) -> None:
    calls = night(tmp_path, "success", opened=opened, old={"report-x": GOOD}, new={"report-x": GOOD})
    assert sum(call.startswith("issue close") for call in calls) == closing
    assert not any(call.startswith(("issue edit", "issue create")) for call in calls)
