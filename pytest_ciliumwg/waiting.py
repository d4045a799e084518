"""The one wait, and the one way to do something for many at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import tenacity

MOST_AT_ONCE = 16

_TELL_SECONDS = 1.0

T = TypeVar("T")
R = TypeVar("R")


def wait_for(
    missing: Callable[[], str],
    *,
    seconds: float,
    poll: float,
    progress: Callable[[str], None] | None = None,
    doing: str = "",
    advance: Callable[[], int] | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Ask what is still missing until nothing is, or time is up; it is asked once at least.

    Args:
        missing: What is still missing, in words; empty for nothing. What it raises ends the wait.
        seconds: How long to wait at most.
        poll: Seconds between two questions.
        progress: Told what is missing whenever that changes, and else every second with the time that it took so far.
        doing: What it is told before what is missing.
        advance: How many parts are done by now; whenever that changes, `seconds` begin anew. None: they never do.
        sleep: Lets the time between two questions pass.

    Returns:
        What was missing when time was up; empty when nothing is.
    """
    told, done, since = "", None, time.monotonic()
    began = told_at = since

    def ask() -> str:
        nonlocal told, told_at
        why, now = missing(), time.monotonic()
        if why and progress is not None and (why != told or now - told_at >= _TELL_SECONDS):
            progress(with_time(doing + why, now - began))
            told_at = now
        told = why
        return why

    def is_over(_: tenacity.RetryCallState) -> bool:
        nonlocal done, since
        now = time.monotonic()
        if advance is not None and (latest := advance()) != done:
            done, since = latest, now
        return now - since >= seconds

    def pause(seconds: float) -> None:
        sleep(seconds)

    retrying = tenacity.Retrying(
        stop=is_over,
        wait=tenacity.wait_fixed(poll),
        retry=tenacity.retry_if_result(bool),
        retry_error_callback=lambda _: told,
        sleep=pause,
    )
    return retrying(ask)


class TimedLine(str):
    """What is waited for, and at the end of the line for how long already."""

    def __new__(cls, what: str, seconds: float) -> Self:
        """Add the time to `what`."""
        line = super().__new__(cls, f"{what} ({seconds:.0f} s)")
        line.what = what
        return line

    what: str
    """The line without its time."""


def with_time(what: str, seconds: float) -> str:
    """What is waited for, and for how long already; without a time that nobody would notice."""
    return TimedLine(what, seconds) if seconds >= _TELL_SECONDS else what


def first_trouble(
    trouble: Callable[[], str],
    *,
    seconds: float,
    poll: float,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Ask for some time what is wrong: the first thing that is, at once; empty when nothing was all the time."""
    seen = ""

    def nothing_yet() -> str:
        nonlocal seen
        seen = trouble()
        return "" if seen else "nothing is wrong yet"

    wait_for(nothing_yet, seconds=seconds, poll=poll, sleep=sleep)
    return seen


def for_each(call: Callable[[T], R], items: Iterable[T], *, at_once: int = MOST_AT_ONCE) -> list[R]:
    """Call a function for each of some items, many at once; the results in the order of the items.

    The first error that a call raises is raised here, once all calls that began have ended.
    """
    with ThreadPoolExecutor(at_once, thread_name_prefix="ciliumwg") as pool:
        return list(pool.map(call, items))
