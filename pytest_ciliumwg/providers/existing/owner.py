"""The process that a run's namespace belongs to, as the annotation on it says, and whether that process still runs."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_ENDED = ("Z", "X")
"""States of a process that has ended: one that nobody has waited for is a zombie, and keeps its id."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its id alone does not tell, for another process gets it one day."""

    host: str
    pid: int
    started: str
    """In ticks since the host began, as the kernel writes it; empty where it is not known."""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.host, str(self.pid), self.started)))

    @property
    def alive(self) -> bool:
        """Whether it is known to run: on this host, and as the process that it was.

        Of a process on another host nothing is known.
        """
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # somebody else's
        found = _state_and_start(self.pid)
        if found is None:
            return True  # there is one, and nothing more is to be had
        state, started = found
        return state not in _ENDED and self.started in ("", started)


def this_process() -> Owner:
    """The process that we run in."""
    found = _state_and_start(os.getpid())
    return Owner(socket.gethostname(), os.getpid(), found[1] if found else "")


def owner_of(text: str) -> Owner | None:
    """The owner that an annotation names: `host/process id/start`; None where it names none."""
    host, _, rest = text.partition("/")
    pid, _, started = rest.partition("/")
    # 0 and what is below are no process but groups of them.
    return Owner(host, int(pid), started) if pid.isdecimal() and int(pid) > 0 else None


def _state_and_start(pid: int) -> tuple[str, str] | None:
    """The state of a process and when it started; None where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    # The name stands in parentheses, and may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else None
