"""Tell line by line what another process writes into a file, while it writes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_SECONDS = 0.5


@contextlib.contextmanager
def followed(log: Path, told: Callable[[str], None]) -> Iterator[None]:
    """Call `told` with each whole line of the file, which is written anew meanwhile."""
    ending = threading.Event()

    def follow() -> None:
        done = 0
        while True:
            last = ending.wait(_SECONDS)
            with contextlib.suppress(OSError):
                lines = log.read_text("utf-8", "replace").split("\n")[:-1]
                for line in lines[done:]:
                    told(line.strip())
                done = max(done, len(lines))
            if last:
                return

    thread = threading.Thread(target=follow, name="ciliumwg-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
