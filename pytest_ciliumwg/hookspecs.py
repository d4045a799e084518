"""What other plugins may add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_ciliumwg.options.settings import Settings
    from pytest_ciliumwg.providers.base import Cluster, Progress


@pytest.hookspec(firstresult=True)
def pytest_ciliumwg_cluster(settings: Settings, progress: Progress) -> Cluster | None:
    """Make or connect to the cluster under test, instead of the built-in provider that `settings` names.

    Return None to leave it to the next one. Raise `pytest_ciliumwg.errors.ProviderError` with one sentence when it
    cannot be done; take down what was begun first.
    """
