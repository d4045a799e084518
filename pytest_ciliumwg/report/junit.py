"""What `--junitxml` has of a check beside its outcome: properties of its test case."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ciliumwg.report.record import CheckResult

OUTCOME = "ciliumwg_outcome"
_MOST = 20


def properties(result: CheckResult) -> Iterator[tuple[str, str]]:
    """The check's id, which is stable, its outcome, its profile, and each place at which it does not hold."""
    yield "ciliumwg_check", result.id
    yield OUTCOME, result.outcome
    yield "ciliumwg_profile", result.profile
    yield from (("ciliumwg_finding", str(finding)) for finding in result.findings[:_MOST])
    yield from (("ciliumwg_unmeasured", str(remark)) for remark in result.unmeasured[:_MOST])
