"""The bounded log."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.agent import log
from pytest_ciliumwg.agent.log import BLIND, UNSENT, Log


def sequence(entries: list[dict[str, object]]) -> list[object]:
    return [entry["seq"] for entry in entries]


def test_entries_stay_until_they_are_acknowledged() -> None:
    kept = Log()
    assert kept.after(0) == []
    for n in range(3):
        kept.add({"n": n})
    assert kept.after(0) == kept.after(0) == [{"n": 0, "seq": 1}, {"n": 1, "seq": 2}, {"n": 2, "seq": 3}]
    assert sequence(kept.after(2)) == [3]
    assert sequence(kept.after(0)) == [3]
    assert kept.after(3) == []


def test_a_full_log_drops_the_oldest_and_says_how_many() -> None:
    kept = Log(limit=10)
    for n in range(25):
        kept.add({"n": n})
    assert sequence(kept.after(0)) == list(range(16, 26))
    assert kept.overflow == 15


def test_a_reply_holds_a_part_of_a_long_log() -> None:
    kept = Log()
    for _ in range(log.AT_ONCE + 7):
        kept.add({})
    first = kept.after(0)
    assert len(first) == log.AT_ONCE
    assert sequence(kept.after(log.AT_ONCE)) == list(range(log.AT_ONCE + 1, log.AT_ONCE + 8))


def test_a_failure_that_repeats_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Log()
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for _ in range(3):
        kept.failure("no")
    now += 61
    kept.failure("no")
    kept.failure("another")
    assert [entry["what"] for entry in kept.after(0)] == ["no", "no", "another"]


def test_errors_have_a_code() -> None:
    kept = Log()
    kept.error("no frame can be read")
    kept.error("no control canary can be sent", UNSENT)
    assert [entry["code"] for entry in kept.after(0)] == [BLIND, UNSENT]
