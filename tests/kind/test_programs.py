"""Other people's programs end with us, and those that must not be met halfway end first."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.programs import Done, run, run_whole
from tests.patience import PATIENCE

from .conftest import interrupted_after


@pytest.mark.parametrize(("start", "whole"), [(run_whole, True), (run, False)])
def test_what_must_be_whole_is_done_before_an_interruption_goes_on(
    tmp_path: Path, start: Callable[..., Done], whole: bool
) -> None:
    done = tmp_path / "done"
    seconds, began = 2 if whole else PATIENCE, time.monotonic()
    with interrupted_after(0.1), pytest.raises(KeyboardInterrupt):
        start(["sh", "-c", f"sleep {seconds}; touch {done}"], timeout=2 * PATIENCE)
    assert done.exists() == whole
    assert time.monotonic() - began < PATIENCE
