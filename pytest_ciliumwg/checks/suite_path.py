"""Where the suite is. Every run of pytest loads this: the standard library and pytest only."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]


@cache
def suites_directory() -> Path:
    """Where the suite is: inside the package when installed, beside it in a checkout."""
    installed = PACKAGE / "suites"
    return installed if installed.is_dir() else PACKAGE.parent / "suites"


def every_suite(plugins: pytest.PytestPluginManager) -> tuple[Path, ...]:
    """The suite's folder, and those that other plugins add by the hook `pytest_ciliumwg_suites`.

    Raises:
        pytest.UsageError: a plugin names a folder that is none.
    """
    added = [Path(folder) for folders in plugins.hook.pytest_ciliumwg_suites() for folder in folders]
    for folder in added:
        if not folder.is_dir():
            raise pytest.UsageError(f"the hook pytest_ciliumwg_suites of a plugin names {folder}, which is no folder")
    return suites_directory(), *added
