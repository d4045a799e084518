"""Hold a cluster's name: a folder for each cluster of ours, locked while a run uses it.

The folder outlives a run that was killed, so that the next one knows that the cluster is ours to remove.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import ProviderError


def home() -> Path:
    """Where the folders are."""
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "pytest-ciliumwg" / "kind"


@dataclass(slots=True)
class NameLock:
    """A cluster name that this run holds, and no other run can take, until it is freed or released."""

    folder: Path
    _lock: int

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.folder.name

    @property
    def kubeconfig(self) -> Path:
        """The cluster's kubeconfig; empty until the cluster stands."""
        return self.folder / "kubeconfig"

    @property
    def log(self) -> Path:
        """What kind said while it made the cluster."""
        return self.folder / "create.log"

    def write(self, name: str, content: Any) -> Path:
        """Write a file of JSON, which is YAML too."""
        path = self.folder / name
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return path

    @property
    def kept(self) -> dict[str, Any] | None:
        """What a kept cluster was made with; None where none was kept."""
        try:
            found: dict[str, Any] = json.loads(self.folder.joinpath("kept.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found

    @property
    def begun(self) -> bool:
        """Whether kind has begun to make this cluster for us: it says so before it makes anything.

        It says so after it has made sure that no cluster has the name, so what has the name then is ours.
        """
        with contextlib.suppress(OSError):
            return f'Creating cluster "{self.name}"' in self.log.read_text("utf-8", "replace")
        return False

    @property
    def stands(self) -> bool:
        """Whether kind has finished making the cluster."""
        with contextlib.suppress(OSError):
            return self.kubeconfig.stat().st_size > 0
        return False

    def free(self) -> None:
        """Give the name back, and forget everything about it; safe to call twice."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for parent in (self.folder.parent, self.folder.parent.parent):
            with contextlib.suppress(OSError):
                parent.rmdir()
        self.release()

    def release(self) -> None:
        """Let other runs use the name, with all that is known about it; safe to call twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def take(name: str) -> NameLock:
    """Claim a cluster name.

    Raises:
        ProviderError: another run has it, or the folder cannot be made.
    """
    folder = home() / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ProviderError(f"{folder} cannot be written ({error.strerror}): set XDG_STATE_HOME to a folder") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(lock), os.stat(folder / "lock"))  # noqa: PTH116 - as samestat wants it
    except (BlockingIOError, FileNotFoundError):
        ours = False
    if not ours:
        os.close(lock)
        raise ProviderError(
            f"another run uses the cluster {name} now: wait for it, or choose another --ciliumwg-cluster-name"
        )
    return NameLock(folder, lock)


def unused() -> Iterator[NameLock]:
    """Claim every cluster of ours that no run uses, one after the other."""
    for folder in sorted(home().glob("*/")):
        with contextlib.suppress(ProviderError):
            yield take(folder.name)
