"""Do it again, a bounded number of times, where what went wrong may pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import tenacity

from pytest_ciliumwg.providers.existing.refusal import KubeError
from pytest_ciliumwg.providers.existing.spec import Patience

T = TypeVar("T")


def retried(patience: Patience, ask: Callable[[], T], *, until: float | None = None) -> T:
    """Do something again while it fails with something that may pass, at most `until` seconds from now.

    Raises:
        KubeError: it failed for good, or too often.
    """
    growing = tenacity.wait_random_exponential(multiplier=patience.pause, max=patience.longest_pause)

    def pause(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished = error.retry_after if isinstance(error, KubeError) else 0.0
        return min(max(wished, float(growing(state))), patience.longest_pause)

    stop: Any = tenacity.stop_after_attempt(patience.attempts)
    if until is not None:
        stop = stop | tenacity.stop_before_delay(until)
    retrying = tenacity.Retrying(
        stop=stop,
        wait=pause,
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, KubeError) and error.passing),
        reraise=True,
    )
    return retrying(ask)
