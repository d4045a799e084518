"""However a lab's owner ends, nothing of the lab is left, and nothing of the host was ever touched."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import packaging
import pytest
import tenacity

import pytest_ciliumwg
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.requirements import environment
from tests.lab.conftest import Raise
from tests.patience import PATIENCE

_OWNER = """
import sys
from pytest_ciliumwg.providers.lab import LabSpec, create_lab
cluster = create_lab(LabSpec(cilium_version=sys.argv[1], nodes=3), lambda line: None)
lab = cluster.lab
lab.run_in_pod(lab.layout[0], f"ping -n -c 1 -W 1 {lab.layout[1].test_pod.pod.addresses[0]}")
if "keep" in sys.argv:
    print(lab.sandbox.pid, cluster.keep(), flush=True)
    cluster.close()
else:
    print(lab.sandbox.pid, flush=True)
    sys.stdin.read()
"""


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended, which may be no child of ours."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 5)[0], f"process {pid} has not ended"
    finally:
        os.close(handle)


def processes_in(pid: int) -> list[int]:
    """The processes in the same process id namespace, by the host's numbers."""
    namespace = Path(f"/proc/{pid}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.joinpath("ns/pid").readlink() == namespace:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def alive(pids: list[int]) -> list[int]:
    """Those of some processes that still run; a zombie does not, its parent only has not looked yet."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            if state not in "ZX":
                found.append(pid)
    return found


def host_shows_a_lab() -> list[str]:
    """Everything with a lab's name that is visible outside."""
    netns = Path("/run/netns")
    seen = [entry.name for entry in netns.iterdir() if "lab-" in entry.name] if netns.exists() else []
    shown = subprocess.run(
        ["sh", "-c", "ip -o link; ip rule; ip -6 rule; nft list tables"],
        capture_output=True, text=True, env=environment(), check=False,
    ).stdout  # fmt: skip
    return seen + [word for word in ("cilium_wg0", "cilium_host", "n0-eth0", "0xe00", "cilium_lab") if word in shown]


@pytest.mark.parametrize("version", ["1.13", "1.18"])
def test_close_leaves_nothing(raise_lab: Raise, version: str) -> None:
    cluster = raise_lab(version, nodes=2)
    processes = processes_in(cluster.lab.sandbox.pid)
    assert len(processes) >= 5
    assert not host_shows_a_lab()
    cluster.close()
    cluster.close()
    assert not alive(processes)
    assert not host_shows_a_lab()


def test_an_exception_while_it_is_raised_leaves_nothing(raise_lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def interrupted(lab: Lab, _places: object) -> None:
        started.extend(processes_in(lab.sandbox.pid))
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_ciliumwg.providers.lab.lab.Lab.start_agents", interrupted)
    with pytest.raises(KeyboardInterrupt):
        raise_lab(nodes=2)
    assert started
    assert not alive(started)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_owner_that_is_killed_leaves_nothing(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, "1.18"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        sandbox = int(owner.stdout.readline())
        processes = processes_in(sandbox)
        assert len(processes) >= 10
        owner.send_signal(how)
        owner.wait(PATIENCE)
        wait_for_end(sandbox)
    assert not alive(processes)
    assert not host_shows_a_lab()


def test_a_kept_lab_survives_its_owner_until_it_is_removed_as_it_says() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _OWNER, "1.18", "keep"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    pid, sentence = int(done.stdout.split()[0]), done.stdout
    enter, remove = sentence.split("`")[1], sentence.split("`")[3]
    try:
        shown = subprocess.run(
            [*enter.split(), "-c", "ip -br addr show eth0"],
            capture_output=True, text=True, check=True, env=environment(),
        )  # fmt: skip
        assert "172.18.0.2/16" in shown.stdout
    finally:
        subprocess.run(remove.split(), check=True)
    wait_for_end(pid)


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    """A copy of the package where another user finds it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for module in (pytest_ciliumwg, packaging, tenacity):
        assert module.__file__ is not None
        source = Path(module.__file__).parent
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    yield folder
    shutil.rmtree(folder)


def _as_nobody() -> list[str]:
    if os.geteuid() != 0:
        return [sys.executable]
    # The shell in between has none of the capabilities that setpriv itself still holds when it starts a program.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", 'exec "$@"', "sh"]
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run([*user, python, "-c", ""], capture_output=True, check=False)
        if done.returncode == 0:
            return [*user, python]
    raise AssertionError("no Python that an ordinary user can run")


def test_an_ordinary_user_has_a_lab_too(readable_by_all: Path) -> None:
    if Path("/dev/net/tun").stat().st_mode & 0o006 != 0o006:
        pytest.skip("/dev/net/tun is not accessible to ordinary users")
    variables = {"HOME": str(readable_by_all), "PYTHONPATH": str(readable_by_all), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        [*_as_nobody(), "-c", _OWNER, "1.13"], env=variables, cwd="/",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        assert owner.stderr is not None
        line = owner.stdout.readline()
        assert line.strip().isdigit(), owner.stderr.read()
        owner.communicate()
        assert owner.returncode == 0
    wait_for_end(int(line))
