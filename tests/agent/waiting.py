"""Wait for a log of the agent's to tell something."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.patience import PATIENCE

Entry = dict[str, Any]


class Reader:
    """Reads a log as a controller does, and keeps what came."""

    def __init__(self, collect: Callable[[int], dict[str, Any]]) -> None:
        self._collect = collect
        self.entries: list[Entry] = []

    def take(self, reply: dict[str, Any]) -> dict[str, Any]:
        self.entries += reply["entries"]
        return reply

    def read(self) -> dict[str, Any]:
        return self.take(self._collect(self.entries[-1]["seq"] if self.entries else 0))

    def of(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry["kind"] == kind]

    def until(self, condition: Callable[[list[Entry]], bool], kind: str) -> list[Entry]:
        """The entries of a kind, once they are as expected."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.read()
            if condition(self.of(kind)):
                return self.of(kind)
            assert time.monotonic() < deadline, self.entries
            time.sleep(0.02)
