"""Clean up at the end of this process, also after an error or SIGTERM; only SIGKILL prevents it."""

from __future__ import annotations

import atexit
import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType

from pytest_ciliumwg.errors import ProviderError


class Guard:
    """Calls `cleanup` at the end of the process, and makes SIGTERM such an end, until it is released."""

    def __init__(self, cleanup: Callable[[], None]) -> None:
        self._cleanup = cleanup
        atexit.register(self._at_exit)
        # Only the main thread may set handlers; one that the program around pytest has set stays in place.
        self._handles = (
            threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        )
        if self._handles:
            signal.signal(signal.SIGTERM, self._terminate)

    def release(self) -> None:
        """Remove the exit and signal handlers again, once everything is cleaned up."""
        atexit.unregister(self._at_exit)
        if self._handles and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._handles = False

    def _at_exit(self) -> None:
        with contextlib.suppress(ProviderError):
            self._cleanup()

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        del frame
        raise SystemExit(128 + number)
