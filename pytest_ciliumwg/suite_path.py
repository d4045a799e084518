"""Where the suite is. Every run of pytest loads this: the standard library only."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def suites_directory() -> Path:
    """Where the suite is: inside the package when installed, beside it in a checkout."""
    installed = PACKAGE / "suites"
    return installed if installed.is_dir() else PACKAGE.parent / "suites"
