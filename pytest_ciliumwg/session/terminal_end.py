"""What a run leaves on the terminal: findings in place of pytest's section of failures, and the verdict last of all."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import pytest

from pytest_ciliumwg.report.findings import told_as
from pytest_ciliumwg.session.hooks import Conformance


class TerminalEnd:
    """Pytest shows each failed check on its own; a run shows its few causes. `-v` shows both."""

    def __init__(self, conformance: Conformance) -> None:
        self._conformance = conformance

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, object, object]:
        """Keep checks whose findings are told out of pytest's own sections; what broke in another way stays there."""
        stats = terminalreporter.stats
        if terminalreporter.config.get_verbosity() > 0 or not stats.get("failed"):
            return (yield)
        every, told = stats["failed"], self._told()
        stats["failed"] = [report for report in every if report.nodeid not in told]
        # Pytest writes its failures before it asks anybody else, and its short summary afterwards.
        self._conformance.before_short_summary = lambda: stats.update(failed=_leading(every, told, self._first()))
        try:
            return (yield)
        finally:
            stats["failed"] = every

    def _told(self) -> frozenset[str]:
        """The tests whose failures are among the findings."""
        return frozenset(result.nodeid for result in self._conformance.record.results if result.findings)

    def _first(self) -> frozenset[str]:
        """The tests that say each finding best."""
        titles = {(finding.stage, finding.leading) for finding in self._conformance.findings}
        results = self._conformance.record.results
        return frozenset(
            result.nodeid for result in results if (result.params.get("stage", ""), told_as(result)) in titles
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Write the verdict after all that pytest and other plugins write."""
        result = yield
        reporter = self._conformance.run.reporter
        if reporter is not None:
            self._conformance.tell_verdict(reporter)
        return result


def _leading(every: Iterable[Any], told: frozenset[str], first: frozenset[str]) -> list[Any]:
    return [report for report in every if report.nodeid not in told or report.nodeid in first]
