"""Checks that break off, and failures that others call something else: what of them is said of the cluster."""

from __future__ import annotations

import pytest

from .conftest import OWN, Run

GLOSSED_OVER = """
import pytest

@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        report.outcome, report.longrepr = "{outcome}", ("somewhere", 1, "Skipped: a known issue")
    return report
"""


@pytest.mark.parametrize("outcome", ["skipped", "passed"])
def test_a_failure_that_somebody_calls_otherwise_stays_a_failure(
    run_own: Run, pytester: pytest.Pytester, outcome: str
) -> None:
    pytester.makeconftest(GLOSSED_OVER.format(outcome=outcome))
    pytester.makepyfile(test_mine=OWN.replace("SECOND = True", "SECOND = False"))
    run = run_own("test_mine.py", "-k", "test_mine")
    run.result.stdout.fnmatch_lines(["NOT CONFORMANT: 1 check failed"])
    assert run.result.ret == 1


BROKEN_OFF = {
    "an error on the way": "raise KeyError('nodes')",
    "a time limit": "from pytest_ciliumwg_limit import over; over()",
    "nothing to open": "open('/nowhere/at/all')",
}


@pytest.mark.parametrize("where", ["check", "fixture"])
@pytest.mark.parametrize("how", BROKEN_OFF)
def test_a_check_that_breaks_off_says_nothing_of_the_cluster(
    run_own: Run, pytester: pytest.Pytester, how: str, where: str
) -> None:
    pytester.makepyfile(pytest_ciliumwg_limit="import pytest\n\ndef over():\n    pytest.fail('Timeout (>1.0s)')\n")
    pytester.syspathinsert()
    breaking = BROKEN_OFF[how]
    own = OWN.replace("    TRIES.append(1)\n", f"    TRIES.append(1)\n    {breaking}\n")
    if where == "fixture":
        fixture = f"@pytest.fixture\ndef late():\n    {breaking}\n\n"
        own = OWN.replace("def test_second(verify)", "def test_second(verify, late)").replace(
            "TRIES = []", fixture + "TRIES = []"
        )
    pytester.makepyfile(test_mine=own)
    run = run_own("test_mine.py", "-k", "test_mine", "-p", "pytest_ciliumwg_limit")
    run.result.stdout.fnmatch_lines(["INCONCLUSIVE: 1 check could not be measured; nothing is proven"])
    assert run.result.ret == 1
    (said,) = run.outcome("inconclusive").values()
    assert any(words in said for words in ("KeyError", "Timeout", "No such file"))
    assert breaking.partition("; ")[0] in run.result.stdout.str(), "where it broke off is told"
    run.result.stdout.fnmatch_lines(["1. not measured: *"])


@pytest.mark.parametrize("how", ["assert False, 'leaks'", "pytest.fail('leaks')", "helper()"])
def test_what_a_check_asserts_itself_fails(run_own: Run, pytester: pytest.Pytester, how: str) -> None:
    pytester.makeconftest(
        "import pytest\n\ndef fails():\n    pytest.fail('leaks')\n\n@pytest.fixture\ndef helper():\n    return fails\n"
    )
    own = OWN.replace("    TRIES.append(1)\n", f"    TRIES.append(1)\n    {how}\n")
    pytester.makepyfile(test_mine=own.replace("def test_second(verify)", "def test_second(verify, helper)"))
    run = run_own("test_mine.py", "-k", "test_mine")
    run.result.stdout.fnmatch_lines(["NOT CONFORMANT: 1 check failed"])


def test_what_was_found_before_a_check_broke_off_counts(run_own: Run, pytester: pytest.Pytester) -> None:
    own = OWN.replace("SECOND = True", "SECOND = False")
    found = 'seen="nothing")\n'
    pytester.makepyfile(test_mine=own.replace(found, f"{found}    raise KeyError('nodes')\n"))
    run = run_own("test_mine.py", "-k", "test_mine")
    run.result.stdout.fnmatch_lines(["NOT CONFORMANT: 1 check failed"])
