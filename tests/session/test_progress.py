"""Progress: rewritten in place on a terminal, now and then in a pipe; a wait tells how long it takes."""

from __future__ import annotations

from itertools import count

from pytest_ciliumwg.session.progress import ProgressLines
from pytest_ciliumwg.waiting import TimedLine, wait_for, with_time

UP = "\x1b[1A\x1b[2K"
WAIT = "existing: waiting: 2 pods"


def told(width: int | None, *lines: str, seconds: float = 1.0) -> list[str]:
    written, clock = list[str](), count(step=seconds)
    progress = ProgressLines(written.append, width, lambda: float(next(clock)))
    for line in lines:
        progress(line)
    return written


def test_a_terminal_has_one_line_for_one_wait() -> None:
    assert told(80, "lab: stands", WAIT, TimedLine(WAIT, 1), TimedLine(WAIT, 2), "next") == [
        "ciliumwg: lab: stands",
        f"ciliumwg: {WAIT}",
        f"{UP}ciliumwg: {WAIT} (1 s)",
        f"{UP}ciliumwg: {WAIT} (2 s)",
        "ciliumwg: next",
    ]
    # The same words without a time are another wait, and pytest may have written something in between.
    assert told(80, WAIT, WAIT) == [f"ciliumwg: {WAIT}"] * 2
    assert told(80, "other", TimedLine(WAIT, 7)) == ["ciliumwg: other", f"ciliumwg: {WAIT} (7 s)"]


def test_a_line_of_several_rows_is_not_rewritten() -> None:
    long = "waiting for " + "x" * 60
    first, second, third = told(40, long, TimedLine(long, 1), TimedLine(long, 22))
    assert first == f"ciliumwg: {long}"
    assert len(second) < 40
    assert second.endswith("x… (1 s)")
    assert third.startswith(UP)
    assert third.endswith("x… (22 s)")


def test_a_pipe_is_told_now_and_then() -> None:
    waits = [WAIT, *(TimedLine(WAIT, second) for second in range(1, 90)), "next"]
    written = told(None, *waits)
    assert written[0] == f"ciliumwg: {WAIT}"
    assert written[-1] == "ciliumwg: next"
    assert 3 <= len(written) <= 5
    assert not any("\x1b" in line for line in written)


def test_secrets_are_not_told() -> None:
    assert told(None, "helm: token=abcdefgh") == ["ciliumwg: helm: token=[redacted]"]


def test_a_wait_tells_its_time() -> None:
    lines: list[str] = []
    left = wait_for(lambda: "two pods", seconds=1.3, poll=0.05, progress=lines.append, doing="waiting: ")
    assert left == "two pods"
    assert lines == ["waiting: two pods", "waiting: two pods (1 s)"]
    assert with_time("x", 61.4) == "x (61 s)"
