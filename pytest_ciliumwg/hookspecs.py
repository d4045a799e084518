"""What other plugins may add: clusters, checks, files of the report. docs/extending.md has an example of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_ciliumwg.options.settings import Settings
    from pytest_ciliumwg.providers.base import Cluster, Progress


@pytest.hookspec
def pytest_ciliumwg_providers() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Providers that `--ciliumwg-provider` takes besides its own: the name of each, and which built-in one it is like.

    It has that one's options, stages and plan. `settings.plugin` is the name then, and `settings.provider` the built-in
    one; the cluster comes from `pytest_ciliumwg_cluster`.
    """


@pytest.hookspec(firstresult=True)
def pytest_ciliumwg_cluster(settings: Settings, progress: Progress) -> Cluster | None:
    """Make or connect to the cluster under test, instead of the built-in provider that `settings` names.

    Return None to leave it to the next one; the name of another plugin's provider is not ours to serve. Raise
    `pytest_ciliumwg.errors.ProviderError` with one sentence when it cannot be done; take down what was begun first.
    """


@pytest.hookspec
def pytest_ciliumwg_suites() -> Sequence[Path]:  # type: ignore[empty-body]
    """Folders with more checks, in files `test_*.py`, that `pytest --ciliumwg` runs beside its own.

    They belong to the suite then: a run that leaves one of them out is partial. Installed plugins are asked, and those
    of `-p`; a conftest.py comes too late for it.
    """


@pytest.hookspec
def pytest_ciliumwg_report_writers() -> Mapping[str, Callable[[Mapping[str, Any]], str]]:  # type: ignore[empty-body]
    """More files of `--ciliumwg-report=DIR`: the name of each, and what makes its text from the fields of report.json.

    A writer decides nothing: all that it says is in these fields, which docs/report.md describes.
    """
