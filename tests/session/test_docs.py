"""What docs/ says of the suite is what the suite is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pages_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "pytest_ciliumwg.docs", str(tmp_path)], check=True, cwd=tmp_path)
    made = {page.name: page.read_text(encoding="utf-8") for page in tmp_path.glob("*.md")}
    assert made.keys() == {"checks.md", "faults.md", "options.md"}
    for name, text in made.items():
        assert text == ROOT.joinpath("docs", name).read_text(encoding="utf-8"), "run `make docs`"
    assert int(made["checks.md"].split()[-2]) >= 40
    assert int(made["faults.md"].split()[-2]) >= 45
    assert "none yet" not in made["faults.md"]
