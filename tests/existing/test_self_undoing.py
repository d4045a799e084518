"""A change that undoes itself, and its way back, whatever they meet; with shells of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.existing.operations.self_undoing import Switch
from tests.patience import PATIENCE, await_


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def shell(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(["sh", "-c", script], stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")


def slow(scratch: Path) -> Switch:
    """Takes a second for its change, and says when it begins."""
    commands = [f"touch {scratch}/begun", "sleep 1", f"touch {scratch}/changed"]
    return Switch(name="test", tools=("touch",), change=commands, undo=[f"rm -f {scratch}/changed"])


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_change_that_still_goes_on_is_waited_for_and_undone(scratch: Path) -> None:
    switch = slow(scratch)
    changing = shell(switch.pull(60))
    await_((scratch / "begun").exists)
    finish(shell(switch.release()))
    finish(changing)
    assert names(scratch) == ["begun"]


def test_a_change_that_was_killed_is_not_waited_for(scratch: Path) -> None:
    switch = slow(scratch)
    with shell(switch.pull(60)) as changing:
        await_((scratch / "begun").exists)
        changing.kill()
    scratch.joinpath("changed").touch()
    finish(shell(switch.release()))
    assert not scratch.joinpath("changed").exists()
    assert not scratch.joinpath("ciliumwg-test.pid").exists()


def test_a_change_is_not_undone_by_itself_before_it_is_made(scratch: Path) -> None:
    finish(shell(slow(scratch).pull(0.1)))
    await_(lambda: names(scratch) == ["begun"])


def test_what_nobody_undoes_undoes_itself(scratch: Path) -> None:
    finish(shell(slow(scratch).pull(3.0)))
    assert scratch.joinpath("changed").exists()
    await_(lambda: names(scratch) == ["begun"])
