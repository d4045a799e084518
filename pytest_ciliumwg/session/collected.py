"""The tests of the whole suite, collected without a run."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator

import pytest

from pytest_ciliumwg.checks.suite_path import suites_directory


class _Collector:
    """Takes the collected items instead of running them."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Keep what was collected."""
        self.items = list(session.items)


def collect() -> list[pytest.Item]:
    """The tests of the whole suite, whatever the folder and the environment say of other runs."""
    suites = str(suites_directory())
    # The lab has no stage but one, so each check comes once.
    live = _collected("--ciliumwg-provider=lab", "--ciliumwg-profile=core,extended,disruptive")
    of_a_record = _collected("--ciliumwg-provider=offline", f"--ciliumwg-input={suites}")
    known = {item.nodeid for item in live}
    return [*live, *(item for item in of_a_record if item.nodeid not in known)]


def _collected(*settings: str) -> list[pytest.Item]:
    collector, suites = _Collector(), str(suites_directory())
    arguments = ["--ciliumwg", *settings, "--collect-only", "-c", os.devnull, "--rootdir", suites]
    with contextlib.redirect_stdout(io.StringIO()), _no_settings():
        pytest.main([*arguments, "-p", "no:cacheprovider", suites], plugins=[collector])
    return collector.items


@contextlib.contextmanager
def _no_settings() -> Iterator[None]:
    """Nothing in the environment that sets options of pytest or of ours."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("CILIUMWG", "PYTEST_")):
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)
