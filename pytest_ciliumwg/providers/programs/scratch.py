"""Temporary folders that do not stay: what runs that were killed left is removed by the next one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "pytest-ciliumwg-"


@contextlib.contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A folder for this user alone, gone at the end.

    It is locked as long as it is used, by a lock that the kernel releases with the process: so no other run takes it
    for one of a run that was killed, whatever process ids mean there.
    """
    _sweep()
    folder, lock = _make(purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(purpose: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
        lock = _lock(folder)
        if lock is not None:
            return folder, lock


def _sweep() -> None:
    """Remove the folders of ours that nobody uses."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder; None where it is used, somebody else's, or not there any more."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_uid == os.geteuid() and os.path.samestat(os.fstat(lock), folder.lstat()):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None
