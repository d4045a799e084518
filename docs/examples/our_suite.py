"""Our checks belong to every run: `pytest -p our_suite --ciliumwg`."""

from pathlib import Path


def pytest_ciliumwg_suites() -> list[Path]:
    """The folder beside this file."""
    return [Path(__file__).parent / "our_checks"]
