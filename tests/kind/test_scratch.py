"""Temporary folders: gone at the end, and those of runs that were killed with the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.programs import scratch_folder

KILLED = """
from pytest_ciliumwg.providers.programs import scratch_folder
with scratch_folder("helm") as folder:
    folder.joinpath("values.json").write_text("secret")
    print(folder, flush=True)
    input()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_what_a_killed_run_left_goes_with_the_next_and_what_is_used_stays(place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().decode().strip())
        with scratch_folder("kind") as mine:
            assert left.joinpath("values.json").exists(), "its run goes on"
            with scratch_folder("kind"):
                assert mine.exists(), "so does ours"
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert left.exists()
    with scratch_folder("kind") as mine:
        assert list(place.iterdir()) == [mine]
        assert mine.stat().st_mode & 0o77 == 0
    assert list(place.iterdir()) == []


def test_what_is_not_ours_stays(place: Path) -> None:
    for name in ("other", "pytest-of-me"):
        place.joinpath(name).mkdir()
    place.joinpath("pytest-ciliumwg-link").symlink_to(place / "other")
    place.joinpath("pytest-ciliumwg-file").touch()
    if os.geteuid() == 0:
        theirs = place / "pytest-ciliumwg-theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
    before = set(place.iterdir())
    with scratch_folder("kind"):
        pass
    assert set(place.iterdir()) == before
