"""The one place that runs programs: lists of arguments, always a time limit."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended, or was ended."""

    argv: tuple[str, ...]
    status: int | None
    """None: it took too long and was ended."""
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status == 0

    @property
    def command(self) -> str:
        """What was run, for a user to repeat."""
        return shlex.join([Path(self.argv[0]).name, *self.argv[1:]])


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    folder: Path | None = None,
    log: Path | None = None,
    also: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end.

    It gets a session of its own: Ctrl-C does not reach it; this process ends it, with everything that it has started.

    Args:
        argv: The program and its arguments.
        timeout: Seconds after which it is ended.
        folder: Where it runs.
        log: A file for its standard error, which stays also when this process is killed.
        also: Environment variables beside our own.
    """
    with running(argv, timeout=timeout, folder=folder, log=log, also=also) as done:
        return done()


@contextlib.contextmanager
def running(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    folder: Path | None = None,
    log: Path | None = None,
    also: Mapping[str, str] | None = None,
) -> Iterator[Callable[[], Done]]:
    """Run a program beside what else is done, as `run` does; gives what waits for its end.

    If nobody has waited for it, it is ended together with the `with`.
    """
    words = tuple(str(word) for word in argv)
    deadline = time.monotonic() + timeout
    with TemporaryFile() as output, _writable(log) as errors:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd=folder,
            env={**os.environ, **(also or {})},
            start_new_session=True,
        )

        def done() -> Done:
            try:
                status: int | None = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                status = None
                _end(process)
            return Done(words, status, _text(output), _text(errors))

        try:
            yield done
        finally:
            if process.returncode is None:
                _end(process)


def run_whole(argv: Sequence[str | Path], *, timeout: float) -> Done:
    """Run a program whose work goes on without it: an interruption waits for its end first.

    Signals reach the main thread alone, so in another one it is not interrupted, not even while it is being started.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run, argv, timeout=timeout).result()


def _writable(log: Path | None) -> IO[bytes]:
    return cast("IO[bytes]", TemporaryFile() if log is None else log.open("w+b"))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
            return
