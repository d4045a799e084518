"""What all tests need of the process that runs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every worker of xdist, whose share is one piece of the list, as many slow tests as the others, those first.

    Else one of them begins the longest tests when all others have come to their end.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        slow = [item for item in items if item.get_closest_marker("slow")]
        rest = [item for item in items if not item.get_closest_marker("slow")]
        items[:] = [item for first in range(workers) for part in (slow, rest) for item in part[first::workers]]


@pytest.fixture(scope="session", autouse=True)
def _sigint_reaches_children() -> Iterator[None]:
    """Give programs that tests start the SIGINT of a terminal.

    A shell ignores SIGINT in what it starts in the background, and children inherit that; a handler they do not.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
