"""The suite's own part of a pytest run: the cluster's life, the checks' outcomes, the summary."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_ciliumwg.checks.check import MARKER, Check, needs_no_cluster, needs_one_look, params_of
from pytest_ciliumwg.checks.verify import InconclusiveError, Outcome, Verify
from pytest_ciliumwg.diagnosis.diagnosis import Diagnosis
from pytest_ciliumwg.errors import CiliumwgError, ProviderError
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.options.repeat import command
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.report import files, github, json_report, junit, terminal
from pytest_ciliumwg.report.findings import findings
from pytest_ciliumwg.report.outcome import RunOutcome
from pytest_ciliumwg.report.record import CheckResult, Identity, RunRecord, identity
from pytest_ciliumwg.session.plan import print_plan
from pytest_ciliumwg.session.publishing import publish
from pytest_ciliumwg.session.redacted import redact
from pytest_ciliumwg.session.run import ClusterRun
from pytest_ciliumwg.session.shadowed import refuse_shadowed
from pytest_ciliumwg.session.stages import INITIAL, Stage, stages_of
from pytest_ciliumwg.session.whole_suite import broke_off, tests_of_the_suite, waived, why

NOT_ENDED = "INCONCLUSIVE: the run has not come to its end; nothing is proven"
VERIFY = pytest.StashKey[Verify]()


class Conformance:
    """One run of the suite."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.settings = settings
        self.stages = stages_of(settings)
        self.profiles = _profiles(settings, self.stages)
        self.record = RunRecord(
            provider=settings.provider_name, profiles=sorted(self.profiles), command=command(config)
        )
        self.run = ClusterRun(config, settings, self.stages, self.record)
        self.before_short_summary: Callable[[], object] = lambda: None
        """What the terminal's part wants done between the run's own summary and pytest's short one."""
        self._collected: list[pytest.Item] = []
        self._unread: list[str] = []
        """Files whose checks nobody knows."""
        self._ran = False
        self._writers = files.WRITERS

    # --- collection ---------------------------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Let every test that looks at the cluster run in each stage that can have it."""
        if "stage" in metafunc.fixturenames and len(self.stages) > 1:
            one_look = needs_one_look(metafunc.function)
            stages = [stage for stage in self.stages if one_look or not stage.untouched]
            ids = [pytest.HIDDEN_PARAM if stage.implied else stage.name for stage in stages]
            metafunc.parametrize("stage", stages, indirect=True, scope="session", ids=ids)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Remember every check, before any plugin deselects some."""
        if item.get_closest_marker(MARKER):
            self._collected.append(item)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected, where the run goes on without it."""
        if report.failed:
            self._unread.append(Path(report.nodeid).name)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out checks of profiles that were not asked for; bring what is left into the order of the stages."""
        refuse_shadowed(items)
        unread = self._unread
        every = (*tests_of_the_suite(session, unread), *self._collected)
        self.record.expected = self._identities(every) | {identity(name, {}) for name in unread}
        self.record.profile_of = {check.id: check.profile for item in every if (check := Check.of(item))}
        chosen, left_out, seen = [], [], set()
        for item in items:
            check = Check.of(item)
            if self._is_wanted(item, check):
                chosen.append(item)
            else:
                left_out.append(item)
            if check is not None:
                known = identity(check.id, params_of(item))
                if known in seen:
                    raise pytest.UsageError(f"{item.nodeid}: the check id {check.id!r} is taken")
                seen.add(known)
        if left_out:
            config.hook.pytest_deselected(items=left_out)
        order = {stage.name: number for number, stage in enumerate(self.stages)}
        items[:] = sorted(chosen, key=lambda item: order[params_of(item).get("stage", INITIAL.name)])

    def _is_wanted(self, item: pytest.Item, check: Check | None) -> bool:
        if check is None:
            return True
        if check.about_a_change and params_of(item).get("stage", INITIAL.name) == INITIAL.name:
            return False
        return check.profile in self.profiles and self._can_tell(item, check)

    def _can_tell(self, item: pytest.Item, check: Check) -> bool:
        """Whether this provider can decide the check at all: a record has but what somebody looked at."""
        if self.settings.provider != "offline":
            return check.offline != "only"
        if self.settings.judges_a_run:
            return check.offline == "also" or (
                check.offline != "only" and needs_no_cluster(getattr(item, "function", print))
            )
        return check.told_offline

    def _identities(self, items: Iterable[pytest.Item]) -> frozenset[Identity]:
        """The checks among these that belong to the run."""
        checks = ((item, Check.of(item)) for item in items)
        return frozenset(
            identity(check.id, params_of(item)) for item, check in checks if check and self._is_wanted(item, check)
        )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Print the plan, if that is all that is wanted; nothing runs after it."""
        if self.settings.plan:
            checks = [check for item in session.items if (check := Check.of(item))]
            try:
                print_plan(self.run.reporter, self.settings, checks)
            except ProviderError as error:
                raise pytest.UsageError(str(error)) from None
            session.config.option.collectonly = True

    # --- the cluster --------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Make the cluster before the first check and take it down after the last, also after an error or Ctrl-C."""
        option = session.config.option
        if self.settings.report is not None and not option.collectonly:
            self._writers = _make_ready(self.settings.report, session.config.hook.pytest_ciliumwg_report_writers())
        self._ran = not option.collectonly
        if self._ran:
            self._write_verdict(NOT_ENDED)  # what an earlier run left would stand for one that is killed
        self.record.selected = self._identities(session.items)
        unreadable = session.testsfailed and not option.continue_on_collection_errors
        if not self.record.selected or unreadable or option.collectonly:
            return (yield)
        with self.run.standing_cluster():
            return (yield)

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
        """Tell what could not be measured apart from what failed, and keep the check's result."""
        report = yield
        check = Check.of(item)
        if check is None:
            return report
        redact(call, report)
        outcome: Outcome = {"passed": "pass", "failed": "fail", "skipped": "skip"}[report.outcome]  # type: ignore[assignment]
        if call.excinfo is not None and isinstance(call.excinfo.value, CiliumwgError):
            outcome = "inconclusive"
            report.longrepr = f"INCONCLUSIVE {call.excinfo.value}"
        elif call.excinfo is not None and _is_glossed_over(call.excinfo.value, report):
            outcome = "fail"
        elif broke_off(item, call, report) and not item.stash.get(VERIFY, Verify()).findings:
            outcome = "inconclusive"
        if why_not := waived(item, call, report):
            outcome = "skip"
        if report.when == "call" or outcome != "pass":
            verified = item.stash.get(VERIFY, Verify())
            result = CheckResult(
                id=check.id,
                nodeid=item.nodeid,
                params=params_of(item),
                outcome=outcome,
                message="" if outcome == "pass" else why(call, report),
                seconds=report.duration,
                statement=check.statement,
                source=check.source,
                profile=check.profile,
                verified=verified.verified,
                findings=tuple(verified.findings),
                unmeasured=tuple(verified.not_measured),
                unsupported=tuple(verified.not_supported),
                notes=tuple(verified.notes),
                waived=why_not,
                about_a_change=check.about_a_change,
            )
            told = list(junit.properties(result))
            report.user_properties += told
            item.user_properties += told  # pytest writes those of the last phase
            self.record.add(result)
        return report

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Count what could not be measured as `inconclusive`; of a check that broke off pytest shows where."""
        if not isinstance(report, pytest.TestReport) or (report.when == "teardown" and report.passed):
            return None
        if dict(report.user_properties).get(junit.OUTCOME) != "inconclusive" or not isinstance(report.longrepr, str):
            return None
        return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})

    # --- the end ------------------------------------------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        """What is asked for; the cluster's own facts follow when it stands."""
        profiles = ", ".join(sorted(self.profiles))
        default = "as found" if self.settings.provider in ("existing", "offline") else DEFAULT_VERSION
        version = self.settings.cilium_version or default
        return [f"ciliumwg: provider {self.settings.provider_name}, Cilium {version}, profile {profiles}"]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let the exit status be what the run came to, and write the reports."""
        if self._ran:
            session.exitstatus = self.record.tally().exit_status(int(session.exitstatus), self._required)
        if self._ran and self._has_something_to_say():
            self._write_reports(int(session.exitstatus))
        if self._ran:
            self._write_verdict(self.record.tally().line())

    def _write_reports(self, exit_status: int) -> None:
        """Write the files that were asked for, and tell GitHub where this runs in an action."""
        directory, in_action = self.settings.report, github.is_there(os.environ)
        if directory is None and not in_action and self.settings.publish is None:
            return
        document = files.made(lambda: json_report.document(self.record, self.findings, exit_status), self.run.progress)
        if directory is not None:
            files.write(self.record, document, directory, self.run.progress, self._writers)
        if in_action and document:
            files.tell_github(document, os.environ, self.run.raw, self.run.progress)
        if document:
            publish(self.settings, document, self.run.progress)

    @cached_property
    def findings(self) -> tuple[Diagnosis, ...]:
        """The findings of the run; asked for when all of it is over."""
        return findings(self.record)

    def _write_verdict(self, verdict: str) -> None:
        """Write the verdict into the file that was asked for; that it cannot be is said, and no reason to lose it."""
        path = self.settings.verdict_file
        if path is None:
            return
        try:
            path.write_text(f"{verdict}\n", encoding="utf-8")
        except OSError as error:
            self.run.progress(f"the verdict could not be written to {path}: {error.strerror}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The findings, the matrix, and what is told beside them."""
        if self._has_something_to_say():
            width = terminalreporter.config.get_terminal_writer().fullwidth
            terminal.summarize(terminalreporter, self.record, self.findings, width)
        self.before_short_summary()

    def tell_verdict(self, reporter: Any) -> None:
        """Write what the run came to, in its last lines."""
        if self._ran and not self.settings.plan:
            reporter.ensure_newline()
            if self._has_something_to_say():
                terminal.verdict(reporter, self.record)
            else:
                reporter.write_line(f"ciliumwg: {self.record.tally().line()}", red=True)
            if not self.record.tally().meets(self._required):
                reporter.write_line(f"ciliumwg: --ciliumwg-require={self.settings.require} is not met", red=True)
        if self.run.kept:
            reporter.write_line(f"ciliumwg: {self.run.kept}")

    def _has_something_to_say(self) -> bool:
        return bool(self.record.results or self.record.judges or self.record.changes)

    @property
    def _required(self) -> RunOutcome | None:
        return RunOutcome(self.settings.require) if self.settings.require else None


def _is_glossed_over(error: BaseException, report: pytest.TestReport) -> bool:
    """Whether somebody calls an error a pass, or one that is no skip a skip; expected failures are told by `waived`."""
    skipped = report.outcome == "skipped" and not isinstance(error, pytest.skip.Exception)
    return report.outcome == "passed" or (skipped and not hasattr(report, "wasxfail"))


def _make_ready(report: Path, added: Iterable[files.Writers]) -> files.Writers:
    """See that reports can be written, before anything else begins, and by which writers.

    Raises:
        pytest.UsageError: they cannot.
    """
    try:
        writers = files.every_writer(added)
        files.make_ready(report, writers)
    except CiliumwgError as error:
        raise pytest.UsageError(str(error)) from None
    return writers


def _profiles(settings: Settings, stages: Sequence[Stage]) -> frozenset[str]:
    """The profiles whose checks run: after a change all of core has to hold again."""
    if not any(stage.change for stage in stages):
        return settings.profiles
    return settings.profiles | {"core", "disruptive"}
