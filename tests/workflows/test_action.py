"""The action: its inputs reach the suite, its outputs say what came of it, and it fails when it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.python_script import start

ROOT = Path(__file__).parents[2]
INPUTS = ("CILIUM_VERSION", "ROUTING", "IP_FAMILY", "KUBECONFIG_PATH", "PROFILE", "ARGUMENTS")
# Stands for pytest: it shows what it was given, writes the report that it is told to, and ends as it is told to.
STANDIN = """import json, os, pathlib, subprocess, sys
if sys.argv[1:2] == ["-c"]:
    sys.exit(subprocess.run(["{python}", *sys.argv[1:]]).returncode)
given = {{name: value for name, value in os.environ.items() if name.startswith("CILIUMWG_")}}
pathlib.Path("given.json").write_text(json.dumps([sys.argv[1:], given]))
outcome = os.environ["OUTCOME"]
if outcome:
    report = pathlib.Path(os.environ["CILIUMWG_REPORT"], "report.json")
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps({{"outcome": outcome, "verdict": "told in a sentence"}}))
sys.exit(int(os.environ["STATUS"]))
"""


def run(directory: Path, outcome: str, status: int, **inputs: str) -> tuple[int, dict[str, str], Any]:
    """The action's script: its exit status, its outputs, and what the suite was given."""
    standin = directory / "python"
    standin.write_text(start() + STANDIN.format(python=sys.executable))
    standin.chmod(0o755)
    outputs = directory / "outputs"
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_OUTPUT": str(outputs),
        "WORK": str(directory),
        "FAIL_ON": "less-than-conformant",
        "CILIUMWG_PROVIDER": "existing",
        "CILIUMWG_REPORT": str(directory / "report"),
        "CILIUMWG_SKIP_INSTALL": str(standin),
        "OUTCOME": outcome,
        "STATUS": str(status),
        **dict.fromkeys(INPUTS, ""),
        **inputs,
    }
    done = subprocess.run([ROOT / "ci/action.sh"], env=environment, capture_output=True, text=True, check=False)
    lines = outputs.read_text().splitlines() if outputs.exists() else []
    given = directory / "given.json"
    seen = json.loads(given.read_text()) if given.exists() else done.stdout
    return done.returncode, dict(line.split("=", 1) for line in lines), seen


ENDS = [
    ("conformant", 0, "less-than-conformant", 0),
    ("partial", 0, "less-than-conformant", 1),
    ("inconclusive", 1, "less-than-conformant", 1),
    ("inconclusive", 1, "not-conformant", 0),
    ("not-conformant", 1, "not-conformant", 1),
    ("not-conformant", 1, "never", 0),
    ("conformant", 1, "less-than-conformant", 1),
    ("conformant", 4, "not-conformant", 4),
    ("inconclusive", 3, "not-conformant", 3),
    ("partial", 0, "not-conformant", 0),
    ("", 4, "never", 4),
    ("", 0, "not-conformant", 1),
]


@pytest.mark.parametrize(("outcome", "status", "fail_on", "expected"), ENDS)
def test_it_fails_when_it_should(tmp_path: Path, outcome: str, status: int, fail_on: str, expected: int) -> None:
    ended, outputs, _ = run(tmp_path, outcome, status, FAIL_ON=fail_on)
    assert ended == expected
    assert outputs["outcome"] == outcome or (not outcome and outputs["outcome"] == "none")
    assert outputs["verdict"] == ("told in a sentence" if outcome else f"no run was made (exit status {status})")


def test_the_report_of_an_earlier_use_stands_for_no_run(tmp_path: Path) -> None:
    assert run(tmp_path, "conformant", 0)[0] == 0
    ended, outputs, _ = run(tmp_path, "", 4)
    assert (ended, outputs["outcome"]) == (4, "none")


def test_inputs_reach_the_suite(tmp_path: Path) -> None:
    inputs = {"ROUTING": "vxlan", "PROFILE": "core,extended", "ARGUMENTS": "--ciliumwg-max-nodes=3\n-k a or b\n"}
    _, _, (arguments, environment) = run(tmp_path, "conformant", 0, **inputs)
    assert arguments[-2:] == ["--ciliumwg-max-nodes=3", "-k a or b"]
    assert environment["CILIUMWG_ROUTING"] == "vxlan"
    assert environment["CILIUMWG_PROFILE"] == "core,extended"
    assert "CILIUMWG_CILIUM_VERSION" not in environment, "an empty value would be an error"


def test_a_mistyped_fail_on_is_refused(tmp_path: Path) -> None:
    ended, _, said = run(tmp_path, "conformant", 0, FAIL_ON="nver")
    assert ended == 1
    assert "fail-on is 'nver'" in said


def test_every_input_is_used() -> None:
    action = yaml.safe_load(ROOT.joinpath("action.yml").read_text("utf-8"))
    text = str(action["runs"])
    assert [name for name in action["inputs"] if f"inputs.{name} " not in text] == []
