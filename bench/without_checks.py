"""What the self-test would say of a suite without one of its checks: for every check that has to catch a fault.

`python -m bench.without_checks REPORT` reads the runs that `pytest --ciliumwg … --ciliumwg-selftest
--ciliumwg-report=REPORT` left and judges them again without each check in turn. With `--real N` it also runs N of the
checks' faults again with the check deselected for real. Exit 0 only if the self-test fails without every one of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ciliumwg.checks.check import Check
from pytest_ciliumwg.docs.faults_page import caught_by
from pytest_ciliumwg.faults import FAULTS
from pytest_ciliumwg.providers.lab import LabSpec
from pytest_ciliumwg.selftest.runs import plan
from pytest_ciliumwg.selftest.verdict import judge
from pytest_ciliumwg.session.collected import collect


def judged_again(directory: Path, check: str) -> dict[str, int]:
    """How many runs with a fault are good, with and without a check."""
    good = {"with": 0, "without": 0}
    versions = sorted(path.name for path in (directory / "runs").iterdir())
    for run in plan([LabSpec(cilium_version=version) for version in versions], list(FAULTS.values())):
        path = directory / "runs" / run.version / run.name / "report.json"
        if run.declared is None or not path.exists():
            continue
        report = json.loads(path.read_text(encoding="utf-8"))
        good["with"] += judge(run.declared, report).good
        good["without"] += judge(run.declared, report, without={check}).good
    return good


def really_without(items: list[pytest.Item], check: str) -> int:
    """The exit status of the self-test of the check's quickest faults, with all its tests deselected."""
    faults = sorted(caught_by(check), key=lambda fault: fault.seconds)[:2]
    names = {item.nodeid.partition("[")[0] for item in items if (asserted := Check.of(item)) and asserted.id == check}
    command = [
        *(sys.executable, "-m", "pytest", "--ciliumwg", "--ciliumwg-provider=lab", "--ciliumwg-selftest"),
        f"--ciliumwg-fault={','.join(fault.name for fault in faults)}",
        *("-k", " and ".join(f"not {name.rpartition('::')[2]}" for name in sorted(names))),
    ]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--real", type=int, default=0)
    options = parser.parse_args()
    items = collect()
    catchers = sorted({fault.check_id for fault in FAULTS.values()})
    missed = 0
    for number, check in enumerate(catchers):
        good = judged_again(options.report, check)
        noticed = good["without"] < good["with"]
        really = f", for real: exit {really_without(items, check)}" if number < options.real else ""
        lost = good["with"] - good["without"]
        print(f"without {check:26} {lost:3} of {good['with']} faults are no longer caught{really}", flush=True)
        missed += not noticed or really.endswith("exit 0")
    print(f"the self-test fails without {len(catchers) - missed} of {len(catchers)} checks")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
