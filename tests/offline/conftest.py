"""Records of clusters: real sysdumps with captures, and what is made of them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.options.table import OPTIONS
from pytest_ciliumwg.providers.offline import OfflineCluster, OfflineSpec, open_offline
from tests.report.schema import problems

RECORDINGS = Path(__file__).parent.parent / "recordings" / "offline"
HEALTHY, DETACHED = RECORDINGS / "healthy.zip", RECORDINGS / "egress-detached.zip"

Open = Callable[..., OfflineCluster]
Judge = Callable[..., "Judged"]
Changed = Callable[[Callable[[str, bytes], Iterable[tuple[str, bytes]]]], Path]


def opened(*inputs: Path) -> OfflineCluster:
    """A record, read."""
    cluster = open_offline(OfflineSpec(inputs=inputs), lambda _: None)
    assert isinstance(cluster, OfflineCluster)
    return cluster


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """The healthy sysdump, with each of its files replaced by what a function makes of its name and content."""

    def change(how: Callable[[str, bytes], Iterable[tuple[str, bytes]]]) -> Path:
        path = tmp_path / "cilium-sysdump.zip"
        with zipfile.ZipFile(HEALTHY) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                for other, content in how(name, old.read(name)):
                    new.writestr(other, content)
        return path

    return change


@dataclass(frozen=True, slots=True)
class Judged:
    """A finished run."""

    result: pytest.RunResult
    report: dict[str, Any]

    @property
    def last(self) -> str:
        """The verdict."""
        return [line for line in self.result.stdout.lines if line.strip()][-1]

    def titles(self, outcome: str) -> set[str]:
        """The checks with an outcome."""
        return {check["id"] for check in self.report["checks"] if check["outcome"] == outcome}

    def outcomes(self) -> dict[str, str]:
        """Title → outcome of every check."""
        return {check["title"]: check["outcome"] for check in self.report["checks"]}

    def messages(self, check_id: str) -> str:
        """What a check says."""
        return "\n".join(check["message"] for check in self.report["checks"] if check["id"] == check_id)


@pytest.fixture
def judge(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Run the suite on inputs."""
    for name in ("GITHUB_ACTIONS", *(option.env for option in OPTIONS)):
        monkeypatch.delenv(name, raising=False)

    def run(*inputs: Path, more: tuple[str, ...] = (), name: str = "report") -> Judged:
        report = Path(pytester.path, name)
        given = [f"--ciliumwg-input={path}" for path in inputs]
        arguments = ["--ciliumwg", "--ciliumwg-provider=offline", f"--ciliumwg-report={report}", *given, *more]
        result = pytester.runpytest_inprocess(*arguments, "-p", "no:cacheprovider")
        document = json.loads((report / "report.json").read_text("utf-8"))
        assert not problems(document)
        return Judged(result, document)

    return run
