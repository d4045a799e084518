"""Whose a namespace is: a zombie, or another process with the same id, is not the run that made it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.existing.leftovers import Leftover
from pytest_ciliumwg.providers.existing.owner import Owner, owner_of, this_process

HOST = socket.gethostname()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose name looks like the end of one, as no parser must take it."""
    program = "open('/proc/self/comm', 'w').write('a) Z 1 (b'); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        yield process


def leftover(owner: object) -> Leftover:
    return Leftover("ciliumwg-1", "now", str(owner))


def test_this_process_runs() -> None:
    assert this_process().started
    assert leftover(this_process()).alive


def test_a_child_runs_whatever_its_name(child: subprocess.Popen[bytes]) -> None:
    assert leftover(f"{HOST}/{child.pid}").alive


def test_a_zombie_has_ended(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    os.kill(child.pid, 0)
    assert not leftover(f"{HOST}/{child.pid}").alive


def test_another_process_has_the_id_now() -> None:
    ours = this_process()
    assert not leftover(Owner(ours.host, ours.pid, str(int(ours.started) - 1))).alive


@pytest.mark.parametrize(
    "owner", ["", "elsewhere/1", f"{HOST}/", f"{HOST}/x", f"{HOST}/0", f"{HOST}/-1", f"{HOST}/{'9' * 30}"]
)
def test_no_process_of_this_host(owner: str) -> None:
    assert not leftover(owner).alive


def test_a_process_of_which_nothing_can_be_read_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: object) -> str:
        raise PermissionError

    ours = this_process()
    monkeypatch.setattr(Path, "read_text", hidden)
    assert leftover(ours).alive
    assert str(this_process()) == f"{HOST}/{os.getpid()}"
    assert owner_of(str(this_process())) == this_process()
