"""The self-test as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ciliumwg.faults import FAULTS
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab import LabSpec
from pytest_ciliumwg.selftest.runs import Run, Runner, declare
from pytest_ciliumwg.selftest.verdict import Result
from tests.patience import PATIENCE, await_

pytestmark = pytest.mark.slow(first=True)

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pytest", "--ciliumwg", "--ciliumwg-provider=lab", "--ciliumwg-selftest"]


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, f"--ciliumwg-report={tmp_path}", *arguments]
    return subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, env=environment())


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CILIUMWG")}
    return kept | {"PYTHONPATH": str(ROOT)}


def test_faults_are_caught_and_a_missing_check_is_noticed(tmp_path: Path) -> None:
    small = ("--ciliumwg-fault=leak-vlan", "--ciliumwg-nodes=2", "--ciliumwg-cilium-version=1.13")
    done = run(tmp_path, *small)
    assert done.returncode == 0, done.stdout
    assert "1 of 1 faults caught by the check that has to catch them, 0 wrong blames, 1 of 1 healthy" in done.stdout
    document = json.loads((tmp_path / "selftest.json").read_text(encoding="utf-8"))
    assert document["good"]
    assert {run["result"] for run in document["runs"]} == {"caught", "clean"}
    assert "| leak-vlan | wire.no-cleartext[v4-icmp]" in (tmp_path / "selftest.md").read_text(encoding="utf-8")

    without = run(tmp_path, *small, "-k", "not test_no_cleartext")
    assert without.returncode == 1
    assert "leak-vlan" in without.stdout
    assert "missed: wire.no-cleartext did not fail" in without.stdout


def test_it_is_for_the_lab_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "--ciliumwg-provider=kind")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--ciliumwg-selftest goes with --ciliumwg-provider=lab only" in done.stdout + done.stderr


def test_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--ciliumwg-fault=leek")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no fault 'leek'" in done.stdout


def test_a_report_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path, f"--ciliumwg-report={tmp_path / 'file'}")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stdout == f"ERROR: the report cannot be written into {tmp_path / 'file'}: File exists\n"


@pytest.mark.thorough
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    command = [*COMMAND, f"--ciliumwg-report={tmp_path}", "--ciliumwg-fault=blackhole"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    await_(lambda: _running(tmp_path))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    await_(lambda: not _running(tmp_path))


def _running(directory: Path) -> list[str]:
    """The self-test's own runs that are there now, by their reports' directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(b"--rootdir") or word == b"--rootdir" for word in words):
            found += [entry.parent.name for word in words if word.startswith(str(directory).encode())]
    return found


def test_a_run_without_a_report_is_broken(tmp_path: Path) -> None:
    spec = LabSpec(cilium_version="1.13")
    one = Run(version="1.13", name="device-down", declared=declare(spec, FAULTS["device-down"], None))
    ran = Runner(tmp_path, 3, frozenset(IPFamily), ["--no-such-option"]).run(one)
    assert ran.outcome.result is Result.BROKEN
    assert "unrecognized arguments: --no-such-option" in ran.outcome.reason
