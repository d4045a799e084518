"""The suite's own part of a pytest run: the cluster's life, the checks' outcomes, the summary."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_ciliumwg.checks import MARKER, Check, InconclusiveError, Outcome, Verify, params_of
from pytest_ciliumwg.errors import CiliumwgError, ProviderError
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.plan import print_plan
from pytest_ciliumwg.providers.base import Cluster
from pytest_ciliumwg.providers.choose import open_cluster
from pytest_ciliumwg.report import json_report, terminal
from pytest_ciliumwg.report.record import CheckResult, RunRecord

VERIFY = pytest.StashKey[Verify]()
_CHECK, _PARAMS, _OUTCOME, _RECORD = "ciliumwg_check", "ciliumwg_params", "ciliumwg_outcome", "ciliumwg_record"


class Conformance:
    """One run of the suite."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.settings = settings
        self.record = RunRecord(provider=settings.provider, profiles=sorted(settings.profiles))
        self.cluster: Cluster | None = None
        self._config = config
        self._kept: str | None = None

    # --- collection ---------------------------------------------------------------------------------------------

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out checks of profiles that were not asked for; carry each check's identity into the reports."""
        chosen, left_out, seen = [], [], set()
        for item in items:
            check = Check.of(item)
            if check is None or check.profile in self.settings.profiles:
                chosen.append(item)
            else:
                left_out.append(item)
            if check is not None:
                identity = (check.id, *sorted(params_of(item).items()))
                if identity in seen:
                    raise pytest.UsageError(f"{item.nodeid}: the check id {check.id!r} is taken")
                seen.add(identity)
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = chosen

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Print the plan, if that is all that is wanted; nothing runs after it."""
        if self.settings.plan:
            checks = [check for item in session.items if (check := Check.of(item))]
            try:
                print_plan(self._reporter(), self.settings, checks)
            except ProviderError as error:
                raise pytest.UsageError(str(error)) from None
            session.config.option.collectonly = True

    # --- the cluster --------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Make the cluster before the first check and take it down after the last, whatever happens between."""
        wanted = any(item.get_closest_marker(MARKER) for item in session.items)
        if not wanted or session.testsfailed or session.config.option.collectonly:
            return (yield)
        with self._standing_cluster():
            return (yield)

    @contextmanager
    def _standing_cluster(self) -> Iterator[None]:
        try:
            self.cluster = open_cluster(self._config.hook, self.settings, self.progress)
        except ProviderError as error:
            # pytest prints a usage error as the one sentence that it is, and exits with 4.
            raise pytest.UsageError(str(error)) from None
        self.record.describe(self.cluster)
        for line in self.cluster.description:
            self.progress(line)
        try:
            yield
        finally:
            if self.settings.keep:
                self._kept = self.cluster.keep()
            self.cluster.close()

    def progress(self, line: str) -> None:
        """Show one line now, whatever pytest captures."""
        reporter = self._reporter()
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if reporter is None:
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"ciliumwg: {line}")

    def _reporter(self) -> Any:
        return self._config.pluginmanager.getplugin("terminalreporter")

    # --- one check ----------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Conclude a check from what it verified: a check cannot pass by asserting nothing."""
        result = yield
        check = Check.of(pyfuncitem)
        if check is not None:
            verify = pyfuncitem.stash.get(VERIFY, None)
            if verify is None:
                raise InconclusiveError("the check does not use the fixture `verify`, so it verified nothing")
            verify.conclude(f"{check.id}: {check.statement}")
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell what could not be measured apart from what failed, and put the findings into the report."""
        report = yield
        check = Check.of(item)
        if check is None:
            return report
        outcome: Outcome = {"passed": "pass", "failed": "fail", "skipped": "skip"}[report.outcome]  # type: ignore[assignment]
        if call.excinfo is not None and isinstance(call.excinfo.value, CiliumwgError):
            outcome = "inconclusive"
            report.longrepr = f"INCONCLUSIVE {call.excinfo.value}"
        if report.when == "call" or outcome != "pass":
            verify = item.stash.get(VERIFY, None)
            report.user_properties += [
                (_CHECK, check.id),
                (_PARAMS, params_of(item)),
                (_OUTCOME, outcome),
                (_RECORD, {"statement": check.statement, "source": check.source, "profile": check.profile}
                 | (verify.record() if verify else {})),
            ]  # fmt: skip
        return report

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Count what could not be measured as `inconclusive`."""
        if (
            dict(report.user_properties if isinstance(report, pytest.TestReport) else ()).get(_OUTCOME)
            != "inconclusive"
        ):
            return None
        return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep each check's result."""
        properties: dict[str, Any] = dict(report.user_properties)
        if _OUTCOME not in properties:
            return
        message = report.longreprtext if properties[_OUTCOME] != "pass" else ""
        self.record.add(
            CheckResult(
                id=properties[_CHECK],
                params=properties[_PARAMS],
                outcome=properties[_OUTCOME],
                message=message,
                seconds=report.duration,
                **properties[_RECORD],
            )
        )

    # --- the end ------------------------------------------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        """What is asked for; the cluster's own facts follow when it stands."""
        profiles = ", ".join(sorted(self.settings.profiles))
        default = "as found" if self.settings.provider == "existing" else DEFAULT_VERSION
        version = self.settings.cilium_version or default
        return [f"ciliumwg: provider {self.settings.provider}, Cilium {version}, profile {profiles}"]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports."""
        if self.settings.report is not None and not self.settings.plan and self.record.results:
            path = json_report.write(self.record, self.settings.report, int(session.exitstatus))
            self.progress(f"wrote {path}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The matrix, the inconclusive checks and the verdict in one line."""
        if self.record.results:
            terminal.summarize(terminalreporter, self.record)
        if self._kept:
            terminalreporter.write_line(f"ciliumwg: {self._kept}")
