"""Tests that interrupt a program work wherever they are started, also in the background."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE


def test_a_child_can_be_interrupted() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        child.send_signal(signal.SIGINT)
        try:
            assert child.wait(PATIENCE) == -signal.SIGINT
        finally:
            child.kill()


def test_a_child_can_be_interrupted_where_sigint_is_ignored() -> None:
    test = f"{Path(__file__).resolve()}::{test_a_child_can_be_interrupted.__name__}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", test]
    background = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
    done = subprocess.run(background, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
