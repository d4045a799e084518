"""The credential plugin of a kubeconfig: why it gave no credentials.

The Kubernetes client only logs that, and goes on without any; the API server would then say 401.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator

_MISSING = re.compile(r"\[Errno 2\] .*: '(?P<program>[^']+)'")
_LONGEST = 300


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """What is logged as an error meanwhile, each without line breaks."""
    root, listener = logging.getLogger(), _Listener()
    root.addHandler(listener)
    try:
        yield listener.said
    finally:
        root.removeHandler(listener)


def refusal(context: str, files: str, said: str) -> str:
    """The sentence for a plugin that gave no credentials; `said` is what the client logged."""
    user = f"the context {context} of the kubeconfig {files} gets its credentials from a plugin"
    found = _MISSING.search(said)
    if found:
        return f"{user} that is not here: install {found['program']}, or put it on PATH, or choose another context"
    text = " ".join(said.split())
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"{user} that gave none ({short}): run it by hand, log in again, or choose another context"
