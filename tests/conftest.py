"""What all tests need of the process that runs them."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a quick run leaves out, and let the slowest tests begin first."""
    if config.getoption("--quick"):
        kept = [item for item in items if not _is_thorough(item)]
        config.hook.pytest_deselected(items=[item for item in items if _is_thorough(item)])
        items[:] = kept
    _share(items)


def _is_thorough(item: pytest.Item) -> bool:
    """Whether a test shows with other versions, networks, faults or moments what another one shows."""
    marker = item.get_closest_marker("thorough")
    return marker is not None and _parameters(item) not in marker.kwargs.get("but", ())


def _parameters(item: pytest.Item) -> str:
    return item.name.partition("[")[2].removesuffix("]")


def _share(items: list[pytest.Item]) -> None:
    """Give every worker of xdist, whose share is one piece of the list, as many slow tests as the others, those first.

    Else one of them begins the longest tests when all others have come to their end.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        parts: list[list[pytest.Item]] = [[], [], []]
        for item in items:
            parts[_slowness(item)].append(item)
        items[:] = [item for first in range(workers) for part in parts for item in part[first::workers]]


def _slowness(item: pytest.Item) -> int:
    """0 for the slowest tests, 1 for other slow ones, 2 for all others."""
    slow = item.get_closest_marker("slow")
    return 2 if slow is None else 1 - bool(slow.kwargs.get("first"))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what lasts as long as the process: all modules and all tests."""
    gc.collect()
    gc.freeze()


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
