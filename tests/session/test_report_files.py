"""Writing the report: tried before anything begins; one file that fails costs neither the others nor the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from .conftest import OWN, NoCluster, SuiteRun


class Untouchable:
    """A plugin that fails where a cluster is asked for."""

    def pytest_ciliumwg_cluster(self) -> object:
        raise AssertionError("a cluster was begun")


def run(pytester: pytest.Pytester, report: Path, plugin: object) -> pytest.RunResult:
    pytester.makepyfile(test_mine=OWN)
    words = ("--ciliumwg", "--ciliumwg-provider=lab", f"--ciliumwg-report={report}", "-p", "no:cacheprovider")
    return pytester.runpytest_inprocess(*words, "-k", "test_mine", "test_mine.py", plugins=[plugin])


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/report"])
def test_what_cannot_be_written_is_said_before_a_cluster_is_begun(pytester: pytest.Pytester, place: str) -> None:
    pytester.path.joinpath("file").touch()
    report = pytester.path / place
    result = run(pytester, report, Untouchable())
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    both = result.stdout.str() + result.stderr.str()
    assert f"ERROR: the report cannot be written into {report}: " in both
    assert "Traceback" not in both


class Writers(NoCluster):
    """A plugin with files of its own for the report."""

    def __init__(self, **writers: Callable[[Mapping[str, Any]], str]) -> None:
        self.writers = {name.replace("_", "."): text for name, text in writers.items()}

    def pytest_ciliumwg_report_writers(self) -> Mapping[str, Callable[[Mapping[str, Any]], str]]:
        return self.writers


def test_a_writer_that_fails(pytester: pytest.Pytester) -> None:
    def refuse(document: Mapping[str, Any]) -> str:
        raise OSError(28, "No space left on device")

    def stumble(document: Mapping[str, Any]) -> str:
        raise KeyError("flows")

    report = pytester.path / "report"
    report.mkdir()
    report.joinpath("second.txt").write_text("of an earlier run")
    result = run(pytester, report, Writers(first_txt=refuse, second_txt=stumble))
    assert result.ret == 0
    assert not report.joinpath("second.txt").exists()
    result.stdout.fnmatch_lines(
        [
            f"ciliumwg: first.txt could not be written into {report}: No space left on device",
            "ciliumwg: second.txt could not be made, which is a defect of the plugin that makes it: KeyError: 'flows'",
            f"ciliumwg: wrote {report / 'report.html'} and 3 more files",
            "partial: 2 of *",
        ]
    )
    assert report.joinpath("report.json").exists()
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_writer_takes_no_file_of_ours(pytester: pytest.Pytester) -> None:
    result = run(pytester, pytester.path / "report", Writers(report_json=lambda _: "{}"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a plugin's report writer cannot have the file 'report.json': taken, or no file's*"])


def test_actions_and_junit(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    own = OWN.replace("len(TRIES) > 1 or SECOND", "False").replace('seen="nothing"', 'seen="50% of\\nit"')
    pytester.makepyfile(test_mine=own)
    words = ("--ciliumwg", "--ciliumwg-provider=lab", "--junitxml=junit.xml", "-p", "no:cacheprovider")
    result = pytester.runpytest_inprocess(*words, "-k", "test_mine", "test_mine.py", plugins=[NoCluster()])
    assert result.ret == 1
    (command,) = [line for line in result.outlines if line.startswith("::")]
    assert command.startswith("::error title=Cilium WireGuard::here: expected it; seen: 50%25 of")
    assert result.outlines[-1].startswith("NOT CONFORMANT")
    assert "## Cilium WireGuard: NOT CONFORMANT: 1 check failed" in summary.read_text(encoding="utf-8")
    cases = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")  # noqa: S314 - it is our own
    found = {case.get("name"): [(one.get("name"), one.get("value")) for one in case.iter("property")] for case in cases}
    assert ("ciliumwg_check", "own.second") in found["test_second"]
    assert ("ciliumwg_outcome", "fail") in found["test_second"]
    assert any(name == "ciliumwg_finding" and "here: expected it" in str(text) for name, text in found["test_second"])
    assert ("ciliumwg_outcome", "pass") in found["test_first"]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path))
    result = pytester.runpytest_inprocess(*words, "-k", "test_mine", "test_mine.py", plugins=[NoCluster()])
    result.stdout.fnmatch_lines(["*the step's summary could not be written*Is a directory*", "NOT CONFORMANT*"])


def test_a_document_that_cannot_be_made(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ciliumwg.report.json_report.document", lambda *_: 1 / 0)
    result = run(pytester, pytester.path / "report", NoCluster())
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*the report could not be made, *ZeroDivisionError*", "partial: 2 of *"])


def test_messages_are_words(run_lab: Callable[..., SuiteRun]) -> None:
    """Of a skipped test pytest keeps a tuple with the path of an installation."""
    run = run_lab("--ciliumwg-nodes=2", "-k", "test_paths or test_mtu or test_node_encryption")
    skipped = run.outcome("skip")
    assert skipped
    for message in skipped.values():
        assert message
        assert not message.startswith(("(", "Skipped"))
        assert ".py" not in message
    assert {check["profile"] for check in run.report["not_run"]} == {"core"}
    ran = {(check["id"], str(check["params"])) for check in run.report["checks"]}
    assert not ran & {(check["id"], str(check["params"])) for check in run.report["not_run"]}
    assert run.report["reproduce"].startswith("pytest --ciliumwg --ciliumwg-provider=lab --ciliumwg-nodes=2 ")
    assert "report" not in run.report["reproduce"]
