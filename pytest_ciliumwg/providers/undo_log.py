"""The record of changes to a cluster that are not undone yet; all providers use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_ciliumwg.errors import ProviderError


class UndoLog:
    """What undoes each change; noted before the change begins, so that an interrupted one is undone too."""

    def __init__(self) -> None:
        self._steps: dict[str, Callable[[], None]] = {}

    def add(self, what: str, undo: Callable[[], None]) -> None:
        """Note what undoes a change that is about to begin; a note that is there already stays as it is.

        Args:
            what: The change, such as `device of lab-worker`.
            undo: Undoes it, wherever it was interrupted, and can be repeated.
        """
        self._steps.setdefault(what, undo)

    def done(self, what: str) -> None:
        """Forget a change that is undone, or was complete and stays."""
        self._steps.pop(what, None)

    @contextmanager
    def until_done(self, what: str, undo: Callable[[], None]) -> Iterator[None]:
        """Note a change that undoes itself at its end, for the time until then."""
        self.add(what, undo)
        yield
        self.done(what)

    def undo(self, what: str) -> bool:
        """Undo one change; returns whether there was such a change."""
        if what not in self._steps:
            return False
        self._steps[what]()
        self.done(what)
        return True

    def restore(self) -> None:
        """Undo everything, the latest first; goes on where something cannot be undone.

        Raises:
            ProviderError: something could not be undone; it stays on record for the next call.
        """
        failed = []
        for what in reversed(list(self._steps)):
            try:
                self.undo(what)
            except ProviderError as error:
                failed.append(str(error))
        if failed:
            raise ProviderError("; ".join(failed))
