"""Progress lines: on a terminal what is waited for is one line that is rewritten, in a pipe a line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pytest_ciliumwg.redaction import without_secrets
from pytest_ciliumwg.waiting import TimedLine

_PREVIOUS_ROW = "\x1b[1A\x1b[2K"
"""Moves up one row and clears it."""
_EVERY_SECONDS = 30.0
"""How often a pipe is told that the same is still waited for."""


class ProgressLines:
    """Tells lines; one that differs from the last one in its time alone takes its place."""

    def __init__(
        self, write: Callable[[str], object], width: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing told.

        Args:
            write: Writes a line, from its beginning to its end.
            width: Columns of the terminal; None where there is none.
            clock: Seconds.
        """
        self._write = write
        self._width = width
        self._clock = clock
        self._told = ""
        self._told_at = 0.0
        self._in_one_row = False
        self._lock = threading.Lock()

    def __call__(self, line: str) -> None:
        """Tell of a step, or of what is waited for."""
        with self._lock:
            what, time_told = (line.what, line.removeprefix(line.what)) if isinstance(line, TimedLine) else (line, "")
            # Only with its time is it surely the same wait, in which nobody else has written meanwhile.
            again = bool(time_told) and what == self._told
            if again and self._width is None and self._clock() - self._told_at < _EVERY_SECONDS:
                return
            self._told, self._told_at = what, self._clock()
            self._tell(f"ciliumwg: {without_secrets(what)}", time_told, again=again)

    def _tell(self, what: str, time_told: str, *, again: bool) -> None:
        text = f"{what}{time_told}"
        if self._width is None:
            self._write(text)
            return
        fitted = (
            f"{what[: self._width - len(time_told) - 2]}…{time_told}" if again and len(text) >= self._width else text
        )
        self._write(f"{_PREVIOUS_ROW}{fitted}" if again and self._in_one_row else fitted)
        self._in_one_row = len(fitted) < self._width
