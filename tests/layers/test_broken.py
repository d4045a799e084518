"""Every contract of pyproject.toml finds an import that breaks it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "pytest_ciliumwg"
BREAKS = {
    "The layers of the house": ("model.cluster", "pytest_ciliumwg.report.terminal"),
    "What decides and what explains is pure: it neither collects nor speaks to anybody": (
        "verdict.spans",
        "pytest_ciliumwg.watch.differences",
    ),
    "A provider does not know who uses it, nor which faults it can be given": (
        "providers.undo_log",
        "pytest_ciliumwg.options.values",
    ),
    "The API client knows no provider": ("providers.kubernetes.retry", "pytest_ciliumwg.providers.kind.spec"),
    "The agent needs nothing of ours and nobody's library": ("agent.canary", "pytest_ciliumwg.model.traffic"),
    "Within the agent, watching and sending know nothing of each other": (
        "agent.traffic.payload",
        "pytest_ciliumwg.agent.capture.layers",
    ),
    "One module knows the Kubernetes client library": ("observe.kubernetes", "kubernetes"),
    "One module knows scapy": ("report.evidence.files", "scapy"),
    "One module knows pytest-kind": ("providers.kind.tools", "pytest_kind"),
}
"""Contract → a module, and what it must not import."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What lint-imports says of a copy of the package in which every contract is broken once."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for module, forbidden in BREAKS.values():
        with folder.joinpath(PACKAGE, f"{module.replace('.', '/')}.py").open("a", encoding="utf-8") as file:
            file.write(f"\nimport {forbidden}\n")
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"}
    command = [sys.executable, "-c", program, "--no-cache"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_each_contract_is_broken_once() -> None:
    contracts = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == BREAKS.keys()


@pytest.mark.parametrize("contract", BREAKS)
def test_a_forbidden_import_is_found(said: str, contract: str) -> None:
    summary, _, details = said.partition("Broken contracts")
    assert f"{contract} BROKEN" in " ".join(summary.split())
    # A contract's part of the details begins with its name, underlined.
    parts = re.split(r"^(.+)\n-+\n", details, flags=re.MULTILINE)
    module, forbidden = BREAKS[contract]
    assert f"{PACKAGE}.{module} -> {forbidden} (l." in dict(zip(parts[1::2], parts[2::2], strict=True))[contract]
