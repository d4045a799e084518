"""How long each step of making a cluster took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Steps:
    """The steps so far, with their seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take the time of a step."""
        began = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - began

    def __str__(self) -> str:
        each = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self._seconds.items())
        return f"ready after {time.monotonic() - self._began:.0f} s: {each}"
