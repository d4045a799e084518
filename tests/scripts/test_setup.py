"""scripts/setup installs once for each checkout, and anew for a copy of one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands in for python3 and for the .venv's Python; notes its arguments, and makes an environment that has itself.
_PYTHON = """#!/bin/sh
echo "$PWD: $*" >>"$JOURNAL"
if [ "$1 $2" = "-m venv" ]; then mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi
"""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-ins note what they were asked for; they are first on PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("python3", _PYTHON), ("sudo", "#!/bin/sh\n"), ("apt-get", "#!/bin/sh\n")):
        programs.joinpath(name).write_text(text)
        programs.joinpath(name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("JOURNAL", str(tmp_path / "journal"))
    return tmp_path / "journal"


def set_up(checkout: Path, journal: Path) -> list[str]:
    """Run it, and give what it did to `.venv`, in which folder."""
    journal.write_text("")
    subprocess.run([checkout / "scripts" / "setup"], check=True, capture_output=True)
    return [line for line in journal.read_text().splitlines() if "-m" in line.split()]


def test_a_checkout_is_set_up_once_and_its_copy_too(tmp_path: Path, journal: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.joinpath("scripts").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", original)
    shutil.copy(ROOT / "scripts" / "setup", original / "scripts")
    first = set_up(original, journal)
    assert first[0] == f"{original}: -m venv --clear .venv"
    assert first[-1] == f"{original}: -m pip install --quiet --editable . --group dev"
    assert set_up(original, journal) == []
    shutil.copytree(original, copy)
    assert set_up(copy, journal) == [line.replace(str(original), str(copy)) for line in first]
    assert set_up(copy, journal) == []


def test_what_is_to_be_installed_has_changed(tmp_path: Path, journal: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.joinpath("scripts").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", checkout)
    shutil.copy(ROOT / "scripts" / "setup", checkout / "scripts")
    assert set_up(checkout, journal)
    with checkout.joinpath("pyproject.toml").open("a") as project:
        project.write("# one more dependency\n")
    assert set_up(checkout, journal)


def test_who_may_not_install_is_told_what_root_has_to_do(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "env", "dirname"):
        programs.joinpath(name).symlink_to(shutil.which(name) or name)
    for name, text in (("id", "#!/bin/sh\necho 1000\n"), ("python3", "#!/bin/sh\nexit 1\n")):
        programs.joinpath(name).write_text(text)
        programs.joinpath(name).chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts" / "setup"], env={"PATH": str(programs)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert "as root, do it once" in sentence
    command = sentence.partition("apt-get update && apt-get install ")[2].split()
    assert {"python3-venv", "wireguard-go"} <= set(command)
