"""The wheel carries the suite, and runs it from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_an_installed_wheel_runs_the_suite_without_a_path(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, folder = tmp_path / "site", tmp_path / "folder"
    zipfile.ZipFile(wheel).extractall(site)
    folder.mkdir()
    assert (site / "pytest_ciliumwg/report/html/templates/page.html.j2").is_file()
    assert (site / "pytest_ciliumwg/report/html/templates/style.css").is_file()
    assert (site / "pytest_ciliumwg/py.typed").is_file()
    assert {path.name.partition("-")[0] for path in site.iterdir()} == {"pytest_ciliumwg"}, "the package alone"
    tests = {path.name for path in site.glob("**/test_*.py")} - {path.name for path in site.glob("*/suites/test_*.py")}
    assert tests == {"test_agents.py"}, "which is no test of ours, but the provider's test pods"
    assert not [path for path in site.glob("**/tests") if path.is_dir()]
    command = [sys.executable, "-m", "pytest", "--ciliumwg", "--ciliumwg-plan", "-p", "no:cacheprovider"]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "check wire.no-cleartext (x6)" in run.stdout
    assert f"{site}/pytest_ciliumwg" in subprocess.run(
        [sys.executable, "-c", "import pytest_ciliumwg; print(pytest_ciliumwg.__file__)"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert not list(folder.iterdir())
