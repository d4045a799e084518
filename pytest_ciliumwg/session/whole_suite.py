"""All checks that the suite has, selected or not: only a run of all of them can be conformant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ciliumwg.checks.check import MARKER
from pytest_ciliumwg.checks.suite_path import PACKAGE, every_suite, suites_directory
from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.redaction import without_secrets


class _SuiteModule(pytest.Module):
    """A module of the suite, with all of its checks: settings of pytest that narrow a collection do not count here."""

    def funcnamefilter(self, name: str) -> bool:
        marks = getattr(getattr(self.obj, name, None), "pytestmark", ())
        return any(mark.name == MARKER for mark in marks)

    def classnamefilter(self, name: str) -> bool:
        del name
        return False


def tests_of_the_suite(session: pytest.Session, unread: list[str]) -> Iterator[pytest.Item]:
    """The tests of all checks, in all stages, apart from the session's own collection.

    `unread` gets the names of the files whose checks nobody knows: they cannot be imported, or skip themselves.
    """
    for folder in every_suite(session.config.pluginmanager):
        for path in sorted(folder.glob("test_*.py")):
            module: _SuiteModule = _SuiteModule.from_parent(session, path=path)
            try:
                yield from [node for node in module.collect() if isinstance(node, pytest.Item)]
            except (pytest.skip.Exception, pytest.Collector.CollectError):
                unread.append(path.name)


def waived(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    """Why a check counts as not run: others skipped it, or expect it to fail; empty when it counts."""
    if hasattr(report, "wasxfail"):
        return f"it is expected to fail, by a marker that is not the suite's: {report.wasxfail}"
    if report.outcome == "failed" and call.excinfo is None:
        return f"a marker that is not the suite's wants it to fail: {report.longreprtext}"
    if report.outcome == "skipped" and call.excinfo is not None and not _is_our_own(call.excinfo, item):
        return f"it was skipped, and not by the suite: {call.excinfo.value}"
    return ""


def broke_off(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> bool:
    """Whether a failure says nothing of the cluster: an error on the way to a check, or another plugin's time limit."""
    if report.outcome != "failed" or call.excinfo is None:
        return False
    if report.when != "call" or not isinstance(call.excinfo.value, (AssertionError, pytest.fail.Exception)):
        return True
    said_by, module = _said_by(call.excinfo)
    plugins = {getattr(plugin, "__name__", "") for plugin in item.config.pluginmanager.get_plugins()}
    return module in plugins and said_by.name != "conftest.py"


def why(call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    """Why a test did not pass, in words: for reports, which are not to depend on how pytest shows failures."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    if call.excinfo is None:
        return report.longreprtext
    if isinstance(call.excinfo.value, (CiliumwgError, pytest.skip.Exception, pytest.fail.Exception)):
        return str(call.excinfo.value)
    return without_secrets(call.excinfo.exconly())


def _is_our_own(skipped: pytest.ExceptionInfo[BaseException], item: pytest.Item) -> bool:
    """Whether a skip is said by the check itself, or by a fixture of ours; not by a marker, a conftest or a plugin."""
    said_by, _ = _said_by(skipped)
    return any(home in (said_by, *said_by.parents) for home in (PACKAGE, suites_directory(), item.path))


def _said_by(raised: pytest.ExceptionInfo[BaseException]) -> tuple[Path, str]:
    """The file and the module that called `pytest.skip` or `pytest.fail`."""
    of_pytest = type(pytest.skip).__module__
    callers = [entry for entry in raised.traceback if entry.frame.f_globals.get("__name__") != of_pytest]
    return Path(callers[-1].path), str(callers[-1].frame.f_globals.get("__name__"))
