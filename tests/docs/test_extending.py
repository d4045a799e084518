"""The page on extending: what it shows are the files of docs/examples, and these do what the page says."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.options.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS.joinpath("extending.md").read_text("utf-8")
SHOWN = dict(re.findall(r"^```python file=(\S+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE))
COMMAND = re.findall(r"^```sh\npytest (.*)\n```", PAGE, flags=re.MULTILINE)


def test_the_page_shows_the_files_of_the_folder() -> None:
    assert {path.name: path.read_text("utf-8") for path in DOCS.glob("examples/*.py")} == SHOWN


def put(pytester: pytest.Pytester, *names: str) -> None:
    for name in names:
        pytester.path.joinpath(name).write_text(SHOWN[name], encoding="utf-8")


@pytest.mark.slow
def test_first_check_and_own_traffic(pytester: pytest.Pytester) -> None:
    put(pytester, "conftest.py", "test_ours.py", "test_backup.py")
    (command,) = COMMAND
    words = shlex.split(command.replace("test_ours", "'test_ours or test_backup'"))
    plan = pytester.runpytest_inprocess(*words, "--ciliumwg-plan")
    for line in re.findall(r"`(check ours\..*?)`", PAGE):
        plan.stdout.fnmatch_lines([line])
    run = pytester.runpytest_inprocess(*words, "-p", "no:cacheprovider")
    assert run.ret == 0
    run.assert_outcomes(passed=2, deselected=run.parseoutcomes()["deselected"])
    report = json.loads(pytester.path.joinpath("report/report.json").read_text("utf-8"))
    assert [(row["id"], row["outcome"]) for row in report["checks"]] == [
        ("ours.backup", "pass"),
        ("ours.private-endpoints", "pass"),
    ]
    assert report["cluster"]["nodes"] == ["lab-control-plane", "lab-worker"]
    verdict = pytester.path.joinpath("report/chat.txt").read_text("utf-8")
    assert verdict == f"lab: {report['verdict']}\n"


def test_without_the_suite_its_checks_are_skipped_and_its_fixtures_are_listed(pytester: pytest.Pytester) -> None:
    put(pytester, "test_ours.py", "test_backup.py")
    run = pytester.runpytest_inprocess("-rs")
    run.assert_outcomes(skipped=2)
    run.stdout.fnmatch_lines(["SKIPPED*it is a check of a Cilium cluster: run it with pytest --ciliumwg"])
    listed = pytester.runpytest_inprocess("--fixtures", "-p", "ciliumwg").stdout.str()
    assert set(re.findall(r"^(ciliumwg_\w+)", listed, flags=re.MULTILINE)) == set(re.findall(r"\| `(\w+)` \|", PAGE))
    assert "no docstring available" not in listed.partition("fixture_api")[2].partition("------")[0]
    pytester.runpytest_inprocess("--markers").stdout.fnmatch_lines(["*ciliumwg_check(id, source, profile=*"])


def test_a_folder_of_checks_belongs_to_the_suite(pytester: pytest.Pytester) -> None:
    put(pytester, "our_suite.py")
    pytester.syspathinsert()
    words = ("-p", "our_suite", "--ciliumwg", "--ciliumwg-provider=lab", "--collect-only", "-q")
    refused = pytester.runpytest_inprocess(*words)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*the hook pytest_ciliumwg_suites of a plugin names *our_checks, which is no folder"])
    pytester.mkdir("our_checks").joinpath("test_ours.py").write_text(SHOWN["test_ours.py"], encoding="utf-8")
    run = pytester.runpytest_inprocess(*words)
    run.stdout.fnmatch_lines(["*our_checks/test_ours.py::test_endpoints_are_private", "*test_wire.py::*"])


def test_a_cluster_of_a_tool(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(pytester, "our_clusters.py")
    pytester.syspathinsert()
    tool = tmp_path / "our-tool"
    tool.write_text('#!/bin/sh\n[ "$2" = ours ] && echo "the kubeconfig" && exit\necho "no such name" >&2\nexit 1\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    words = ("-p", "our_clusters", "--ciliumwg", "--ciliumwg-provider=our-tool")
    run = pytester.runpytest_inprocess(*words, "--ciliumwg-context=others", "-k", "test_every_node_publishes_a_key")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["*our-tool knows no cluster others: no such name"])
    module: Any = importlib.import_module("our_clusters")
    monkeypatch.setattr(module, "connect_existing", lambda spec, progress: (spec, spec.kubeconfig.read_text()))
    asked = Settings(provider="existing", plugin="our-tool", context="ours", node_encryption=True)
    spec, kubeconfig = module.pytest_ciliumwg_cluster(asked, print)
    assert kubeconfig == "the kubeconfig\n"
    assert (spec.context, spec.declared.node_encryption) == (None, True)
    assert module.pytest_ciliumwg_cluster(Settings(provider="existing", context="ours"), print) is None
