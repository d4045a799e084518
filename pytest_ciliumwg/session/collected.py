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
    collector = _Collector()
    arguments = [
        "--ciliumwg",
        "--ciliumwg-provider=lab",  # which has no stage but one, so each check comes once
        "--ciliumwg-profile=core,extended,disruptive",
        "--collect-only",
        *("-c", os.devnull, "--rootdir", str(suites_directory()), "-p", "no:cacheprovider"),
    ]
    with contextlib.redirect_stdout(io.StringIO()), _no_settings():
        pytest.main([*arguments, str(suites_directory())], plugins=[collector])
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
