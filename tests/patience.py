"""Wait for what must come: far longer than a busy machine needs, and not for ever where it never comes."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds. A test that bounds a time from above compares it with one that is far longer, never with a usual one."""


def await_(condition: Callable[[], object]) -> None:
    """Return once a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
