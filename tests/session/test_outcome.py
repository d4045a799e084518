"""What a run comes to, from its numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_ciliumwg.report.outcome import RunOutcome, Tally
from pytest_ciliumwg.report.record import CheckResult, RunRecord, identity

CONFORMANT, PARTIAL = RunOutcome.CONFORMANT, RunOutcome.PARTIAL
NOT_CONFORMANT, INCONCLUSIVE = RunOutcome.NOT_CONFORMANT, RunOutcome.INCONCLUSIVE


def tally(
    expected: int, passed: int = 0, failed: int = 0, inconclusive: int = 0, skipped: int = 0, **more: int
) -> Tally:
    ran = passed + failed + inconclusive + skipped
    return Tally(
        expected=expected, ran=ran, passed=passed, failed=failed, inconclusive=inconclusive, nodes=3,
        left_out=more.get("left_out", 0), clear=more.get("clear", 0), unfinished=more.get("unfinished", 0),
    )  # fmt: skip


def test_cleartext_that_is_allowed_is_told_in_the_verdict() -> None:
    allowed = "573 frames in cleartext while cilium_wg0 was down"
    made = replace(tally(90, passed=90), allowed=(allowed,))
    assert made.outcome is CONFORMANT
    assert made.line() == f"conformant: 90 checks passed on 3 nodes, with {allowed} (no strict mode declared)"
    assert replace(made, expected=99).line() == (
        f"partial: 90 of 99 checks ran, all passed, with {allowed} (no strict mode declared)"
    )


def test_cleartext_that_is_only_reported_is_told_in_the_verdict() -> None:
    made = replace(tally(90, passed=90), only_reported=2)
    told = ", with 2 pairs of other pods in cleartext (only reported, as was asked)"
    assert made.line() == f"conformant: 90 checks passed on 3 nodes{told}"
    assert replace(made, expected=99).line() == f"partial: 90 of 99 checks ran, all passed{told}"


def test_a_sample_of_the_pairs_is_told_in_every_verdict() -> None:
    def sampled(made: Tally) -> Tally:
        return replace(made, pairs=3982, all_pairs=39800)

    made = sampled(tally(90, passed=90))
    assert made.line() == "conformant on 3,982 of 39,800 pairs: 90 checks passed on 3 nodes"
    assert replace(made, expected=99).line() == ("partial: 90 of 99 checks ran, all passed, on 3,982 of 39,800 pairs")
    wrong, doubt = sampled(tally(90, failed=1)), sampled(tally(90, inconclusive=2))
    assert wrong.line() == "NOT CONFORMANT: 1 check failed, tested on 3,982 of 39,800 pairs"
    assert doubt.line() == (
        "INCONCLUSIVE: 2 checks could not be measured, tested on 3,982 of 39,800 pairs; nothing is proven"
    )
    assert replace(made, pairs=39800).line() == "conformant: 90 checks passed on 3 nodes"


def test_of_a_record_only_what_was_judged_is_said_to_conform() -> None:
    seen = "2 of 6 pairs seen encrypted, none in cleartext"
    whole = replace(tally(50, passed=48, inconclusive=2), captured=seen, state_passed=30, state_inconclusive=1)
    assert whole.line() == (
        f"INCONCLUSIVE: 30 checks of the state passed, none failed (1 check could not be told); wire: {seen}"
    )
    assert replace(whole, inconclusive=1, state_inconclusive=0).line() == (
        f"INCONCLUSIVE: state conforms; wire: {seen}"
    )
    wrong = replace(tally(50, passed=48, failed=2), captured=seen, state_passed=30, state_failed=2)
    assert wrong.line() == f"NOT CONFORMANT: 2 checks of the state failed; wire: {seen}"
    chosen = replace(tally(50, passed=3), captured=seen, state_passed=3)
    assert chosen.line() == f"partial: 3 checks of the state passed, none failed; wire: {seen}"
    none = replace(tally(50), captured="not looked at")
    assert none.line() == "INCONCLUSIVE: nothing is known of the state; wire: not looked at"


TABLE: list[tuple[Tally, RunOutcome, str, int]] = [
    (tally(90, passed=86, skipped=4), CONFORMANT, "conformant: 86 checks passed on 3 nodes", 0),
    (tally(90, passed=90, left_out=180), CONFORMANT, "conformant: 90 checks passed on 3 of 183 nodes", 0),
    (tally(90, passed=10, left_out=1), PARTIAL, "partial: 10 of 90 checks ran, all passed, on 3 of 4 nodes", 0),
    (tally(1, passed=1), CONFORMANT, "conformant: 1 check passed on 3 nodes", 0),
    (tally(90, passed=10), PARTIAL, "partial: 10 of 90 checks ran, all passed", 0),
    (tally(90, passed=8, skipped=2), PARTIAL, "partial: 10 of 90 checks ran, 8 passed, none failed", 0),
    (tally(90, passed=10, unfinished=5), PARTIAL, "partial: 10 of 90 checks ran, all passed", 1),
    (tally(90, passed=87, failed=3), NOT_CONFORMANT, "NOT CONFORMANT: 3 checks failed", 1),
    (tally(90, failed=1), NOT_CONFORMANT, "NOT CONFORMANT: 1 check failed", 1),
    (
        tally(90, passed=85, failed=3, inconclusive=2),
        NOT_CONFORMANT,
        "NOT CONFORMANT: 3 checks failed (2 more could not be measured)",
        1,
    ),
    (
        tally(90, passed=10, clear=57),
        NOT_CONFORMANT,
        "NOT CONFORMANT: 57 flows in cleartext that had to be encrypted, though no check that ran failed",
        1,
    ),
    (
        tally(90, passed=89, inconclusive=1, clear=1),
        NOT_CONFORMANT,
        "NOT CONFORMANT: 1 flow in cleartext *",
        1,
    ),
    (tally(90, clear=1), NOT_CONFORMANT, "NOT CONFORMANT: 1 flow in cleartext *", 1),
    (
        tally(90, passed=88, inconclusive=2),
        INCONCLUSIVE,
        "INCONCLUSIVE: 2 checks could not be measured; nothing is proven",
        1,
    ),
    (
        tally(90, passed=3, inconclusive=1),
        INCONCLUSIVE,
        "INCONCLUSIVE: 1 check could not be measured; nothing is proven",
        1,
    ),
    (tally(90), INCONCLUSIVE, "INCONCLUSIVE: no check ran; nothing is proven", 5),
    (tally(4, skipped=4), INCONCLUSIVE, "INCONCLUSIVE: no check passed; nothing is proven", 1),
]


@pytest.mark.parametrize(("given", "outcome", "line", "status"), TABLE, ids=lambda value: str(value)[:60])
def test_table(given: Tally, outcome: RunOutcome, line: str, status: int) -> None:
    assert given.outcome is outcome
    assert given.line() == line or (line.endswith("*") and given.line().startswith(line[:-1]))
    assert given.exit_status(0) == status
    assert bool(given.exit_status(0, CONFORMANT)) is (outcome is not CONFORMANT)
    assert ("conformant" in given.line()) is (outcome is CONFORMANT)
    # What pytest calls bad stays so, with the status that it has for it.
    assert {given.exit_status(status) for status in (1, 2, 3, 4, 5)} == {1, 2, 3, 4, 5}


def result(outcome: str, check_id: str = "a", waived: str = "", **params: str) -> CheckResult:
    return CheckResult(
        id=check_id, params=params, outcome=outcome, message="", seconds=0, statement="", source="", profile="core",
        waived=waived,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tries", "kept"),
    [
        (("fail", "pass"), "fail"),
        (("inconclusive", "pass"), "inconclusive"),
        (("inconclusive", "fail", "pass"), "fail"),
        (("pass", "fail"), "fail"),
        (("skip", "pass"), "skip"),
        (("pass",), "pass"),
    ],
)
def test_the_worst_try_counts(tries: tuple[str, ...], kept: str) -> None:
    record = RunRecord(provider="lab", profiles=["core"])
    for outcome in tries:
        record.add(result(outcome))
    assert [result.outcome for result in record.results] == [kept]


def test_what_others_wave_through_has_not_run() -> None:
    record = RunRecord(provider="lab", profiles=["core"], expected=frozenset({identity("a", {}), identity("b", {})}))
    record.add(result("pass"))
    assert record.tally().outcome is PARTIAL
    record.add(result("skip", "b", waived="a marker"))
    assert (record.tally().ran, record.tally().expected) == (1, 2)
    record.add(result("skip", "c", family="v6"))
    assert (record.tally().ran, record.tally().expected) == (2, 3)


def test_a_check_of_two_stages_is_two() -> None:
    both = frozenset({identity("a", {"stage": "initial"}), identity("a", {"stage": "agent-restart"})})
    record = RunRecord(provider="lab", profiles=["core"], expected=both, selected=both)
    record.add(result("pass", stage="initial"))
    assert record.tally().line() == "partial: 1 of 2 checks ran, all passed"
    assert record.tally().exit_status(0) == 1
    record.add(result("pass", stage="agent-restart"))
    assert record.tally().outcome is CONFORMANT
