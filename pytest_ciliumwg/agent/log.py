"""A bounded log of what happened, kept until the controller has acknowledged it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

LIMIT = 20000
"""Entries kept. A controller asks every few seconds; this holds minutes of a busy watch."""
AT_ONCE = 5000
"""Entries of one reply, so that a reply stays a few megabytes."""
UNSENT, BLIND = "unsent", "blind"
"""Codes of errors: a control canary could not be sent; the watch may have missed frames."""
_SAME_FAILURE_SECONDS = 60.0


class Log:
    """Entries are dicts that JSON can hold; each gets the next `seq`, from 1 on. Safe in all threads."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.overflow = 0
        """Entries that were dropped unread, the oldest first, because the log was full."""
        self._entries: deque[dict[str, Any]] = deque()
        self._limit = limit
        self._seq = 0
        self._failure = ("", 0.0)
        self._lock = threading.Lock()

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry."""
        with self._lock:
            self._seq += 1
            self._entries.append(dict(entry, seq=self._seq))
            if len(self._entries) > self._limit:
                self._entries.popleft()
                self.overflow += 1

    def error(self, what: str, code: str = BLIND) -> None:
        """Append an entry `{kind: "error", code, at, what}`; `what` is for people."""
        self.add({"kind": "error", "code": code, "at": time.time(), "what": what})

    def failure(self, what: str) -> None:
        """Append an error that may come again many times a second; then it is told once a minute."""
        now = time.monotonic()
        if what != self._failure[0] or now - self._failure[1] > _SAME_FAILURE_SECONDS:
            self._failure = (what, now)
            self.error(what)

    def after(self, acknowledged: int) -> list[dict[str, Any]]:
        """Forget the entries up to the `seq` that the reader has; return the oldest others, at most AT_ONCE."""
        with self._lock:
            while self._entries and self._entries[0]["seq"] <= acknowledged:
                self._entries.popleft()
            return [self._entries[n] for n in range(min(AT_ONCE, len(self._entries)))]
