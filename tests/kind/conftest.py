"""Programs that stand in for kind, helm, kubectl and docker, and clusters made with them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import tests.loaded  # noqa: F401 - it is its import that counts
from pytest_ciliumwg.options.table import OPTIONS
from pytest_ciliumwg.providers.existing import ExistingSpec, RetryPolicy, connect_existing
from pytest_ciliumwg.providers.kind import KindProvider, KindSpec, cluster, create_kind
from pytest_ciliumwg.providers.kind.name_lock import home
from tests.apidouble import ApiDouble
from tests.kind import standin
from tests.kind.on_lab import VERSION, Make

_SCRATCH = re.compile(r"\S+/pytest-ciliumwg-[\w-]+")
PROGRAMS = ("docker", "kind", "helm", "kubectl")


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """A Ctrl-C after some time, unless all has been done by then; it goes no further than the end of the block."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)


class StubbedAgents:
    """The provider `existing` where only what happens around it is tested."""

    settle_seconds = 1.0
    description = ("stub",)

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@dataclass
class Machine:
    """A machine with the stand-ins, and what they noted."""

    folder: Path
    said: list[str] = field(default_factory=list)
    agents: list[tuple[ExistingSpec, StubbedAgents]] = field(default_factory=list)

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def scenario(self, **what: Any) -> None:
        self.folder.joinpath("scenario.json").write_text(json.dumps(what))

    def without(self, program: str) -> None:
        self.bin.joinpath(program).unlink()

    def journal(self) -> list[dict[str, Any]]:
        path = self.folder / "journal"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def commands(self) -> list[str]:
        """The commands that were run, as a user would write them."""
        lines = [shlex.join([call["program"], *call["argv"]]) for call in self.journal()]
        return [_SCRATCH.sub("SCRATCH", line.replace(str(home()), "STATE")) for line in lines]

    def clusters(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.joinpath("clusters").iterdir()}

    def create(self, *, report: Path | None = None, cleanup: bool = False, **spec: Any) -> KindProvider:
        asked = KindSpec(**{"poll": 0.01, "timeout": 20.0} | spec)
        return create_kind(asked, ExistingSpec(), self.said.append, report=report, cleanup=cleanup)

    def left_behind(self) -> list[str]:
        """Clusters, and files in every place where this package may write."""
        state = [str(path) for path in home().rglob("*")] if home().exists() else []
        here = [path.name for path in Path.cwd().iterdir()]
        return [*self.clusters(), *state, *here]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of the test's own; the current folder is empty, and nothing else is on PATH."""
    made = Machine(tmp_path / "machine")
    for folder in (made.bin, made.folder / "clusters", tmp_path / "here", tmp_path / "tmp"):
        folder.mkdir(parents=True)
    for program in PROGRAMS:
        standin.install(made.bin, program)
    made.scenario()
    for option in OPTIONS:
        monkeypatch.delenv(option.env, raising=False)
    monkeypatch.delenv("KIND_EXPERIMENTAL_PROVIDER", raising=False)
    monkeypatch.setenv("STANDIN", str(made.folder))
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "here")
    return made


@pytest.fixture
def stubbed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The same, with the provider `existing` stubbed."""

    def connect(spec: ExistingSpec, progress: Any) -> StubbedAgents:
        machine.agents.append((spec, StubbedAgents()))
        return machine.agents[-1][1]

    monkeypatch.setattr(cluster, "connect_existing", connect)
    return machine


@pytest.fixture
def make(double: ApiDouble, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Make]:
    """Makes kind clusters whose API is that of the module's `double`."""
    config = double.kubeconfig(tmp_path / "kubeconfig").read_text()
    machine.scenario(kubeconfig=config, double=double.url)
    monkeypatch.setenv("PATH", f"{machine.bin}:{os.defpath}:/usr/sbin:/sbin")
    made: list[KindProvider] = []

    def connect(spec: ExistingSpec, progress: Any) -> Any:
        return connect_existing(replace(spec, timeout=20, retry_policy=RetryPolicy(poll=0.05)), progress)

    monkeypatch.setattr(cluster, "connect_existing", connect)

    def create(**spec: Any) -> KindProvider:
        made.append(machine.create(**{"cilium_version": VERSION} | spec))
        machine.scenario(kubeconfig=config, double=double.url)
        return made[-1]

    yield create
    for provider in made:
        provider.close()


@pytest.fixture(autouse=True)
def _whole_path(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.environ["PATH"]
    yield
    assert os.environ["PATH"] == before or "machine" in request.fixturenames
