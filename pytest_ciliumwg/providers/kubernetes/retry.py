"""Repeat what failed for a reason that may pass, a bounded number of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import tenacity

from pytest_ciliumwg.providers.kubernetes.errors import KubeError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to try; the defaults suit a real cluster."""

    attempts: int = 6
    """How often a request is sent at most."""
    pause: float = 0.3
    """Before the first repetition; each further pause is longer."""
    longest_pause: float = 10.0
    """No pause is longer, not even one that the API server asks for."""
    request: float = 30.0
    """Seconds that the API server may take for one answer."""
    poll: float = 1.0
    """Between two looks at something that is awaited."""
    pull: float = 90.0
    """How long an image may fail to be pulled, where the reason may pass."""
    settle: float = 10.0
    """How long nodes may take to have each other as peers before they are judged as they were found."""
    gone: float = 120.0
    """How long a namespace may take to go."""


def retried(retry_policy: RetryPolicy, ask: Callable[[], T], *, until: float | None = None) -> T:
    """Repeat a call while it fails for a reason that may pass, at most for `until` seconds.

    Raises:
        KubeError: it failed for good, or too often.
    """
    growing = tenacity.wait_random_exponential(multiplier=retry_policy.pause, max=retry_policy.longest_pause)

    def pause(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished = error.retry_after if isinstance(error, KubeError) else 0.0
        return min(max(wished, float(growing(state))), retry_policy.longest_pause)

    stop: Any = tenacity.stop_after_attempt(retry_policy.attempts)
    if until is not None:
        stop = stop | tenacity.stop_before_delay(until)
    retrying = tenacity.Retrying(
        stop=stop,
        wait=pause,
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, KubeError) and error.passing),
        reraise=True,
    )
    return retrying(ask)
