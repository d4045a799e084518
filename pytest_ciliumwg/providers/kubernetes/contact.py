"""Whether an API server answers, as all who ask it have found: where it is away, nobody waits for it for long."""

from __future__ import annotations

import time

FIRST_ANSWER = 24.0
"""Seconds until an API server that has never answered is called silent: two tries."""
AWAY = 60.0
"""Seconds of silence after which it is away: the patience of all requests to 200 nodes is half an hour together."""


class Contact:
    """What the requests to one API server found; for any number of threads, and right enough without a lock."""

    def __init__(self) -> None:
        self._ever = False
        self._silent_since: float | None = None

    def answered(self) -> None:
        """It answered, whatever it said."""
        self._ever, self._silent_since = True, None

    def missed(self) -> None:
        """It did not answer a request."""
        if self._silent_since is None:
            self._silent_since = time.monotonic()

    def patience(self) -> float | None:
        """For how many seconds to repeat a request; 0 while it is away, None where the policy alone says."""
        if not self._ever:
            return FIRST_ANSWER
        return 0.0 if self._away() else None

    def within(self, seconds: float) -> float:
        """How long to wait for one answer, where usually it would be so many seconds."""
        return min(seconds, FIRST_ANSWER / 2) if self._away() or not self._ever else seconds

    def _away(self) -> bool:
        return self._silent_since is not None and time.monotonic() - self._silent_since > AWAY
