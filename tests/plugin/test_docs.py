"""What docs/ says of the suite is what the suite is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytest_ciliumwg.docs import options_page

ROOT = Path(__file__).parents[2]


def test_the_list_of_checks_is_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "pytest_ciliumwg.docs", str(tmp_path)], check=True, cwd=tmp_path)
    made = tmp_path.joinpath("checks.md").read_text(encoding="utf-8")
    assert made == ROOT.joinpath("docs", "checks.md").read_text(encoding="utf-8"), "run `make docs`"
    assert int(made.split()[-2]) >= 40


def test_the_list_of_options_is_up_to_date() -> None:
    assert options_page() == ROOT.joinpath("docs", "options.md").read_text(encoding="utf-8"), "run `make docs`"
