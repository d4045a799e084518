"""Other people's programs end with us, and those that must not be met halfway end first."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ciliumwg.providers.programs import Done, run, run_whole


@pytest.fixture
def interrupted_soon() -> Iterator[None]:
    """A Ctrl-C after a tenth of a second."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("interrupted_soon")
@pytest.mark.parametrize(("start", "whole"), [(run_whole, True), (run, False)])
def test_what_must_be_whole_is_done_before_an_interruption_goes_on(
    tmp_path: Path, start: Callable[..., Done], whole: bool
) -> None:
    done = tmp_path / "done"
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        start(["sh", "-c", f"sleep 2; touch {done}"], timeout=10.0)
    assert done.exists() == whole
    assert (time.monotonic() - began < 2) == (not whole)
