"""One script that runs many commands on a node, and the reader that takes its output apart again.

What a command printed, its exit status and its standard error arrive together, so that a failure is never taken for an
empty answer, and output that was cut off is noticed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pytest_ciliumwg.errors import ObservationError

_MARK = "@@@"
_NOT_FOUND = 127
_MISSING = re.compile(r"([\w./-]+): (?:command )?not found")
"""How shells complain of a program that they do not find."""
SHOW = f"""
exec 3>&1
show() {{
    name=$1; shift
    echo "{_MARK} $name"
    error=$("$@" 2>&1 >&3 3>&-) && status=0 || status=$?
    echo; echo "{_MARK} $name status"; echo $status
    echo "{_MARK} $name stderr"; echo "$error"
}}
"""
"""Defines `show NAME COMMAND…` for the lines that follow; leaves no file behind."""

T = TypeVar("T")


def section_text(name: str, output: str = "", error: str = "") -> str:
    """What `show` would print of a command with this output, or that failed with this complaint."""
    told = [f"{_MARK} {name}", output, f"{_MARK} {name} status", str(int(bool(error)))]
    return "\n".join([*told, f"{_MARK} {name} stderr", error])


@dataclass(frozen=True, slots=True)
class Section:
    """What one command printed."""

    output: str
    status: int
    stderr: str

    def good(self) -> str:
        """The output of a command that must not fail.

        Raises:
            ObservationError: it failed.
        """
        if self.status != 0:
            raise ObservationError(self.stderr.strip() or f"exit status {self.status}")
        return self.output


class Reader:
    """Parses sections and remembers the fields that could not be read."""

    def __init__(self, text: str) -> None:
        self._sections = _split(text)
        self.unread: dict[str, str] = {}

    def section(self, name: str) -> Section:
        """What one `show` printed.

        Raises:
            ObservationError: it is missing, or the program was.
        """
        try:
            output, status, stderr = (self._sections[f"{name}{part}"] for part in ("", " status", " stderr"))
            found = Section(output, int(status), stderr)
        except (KeyError, ValueError):
            raise ObservationError("the output of the node was cut off") from None
        if found.status == _NOT_FOUND and (program := _MISSING.search(stderr)):
            raise ObservationError(f"the program `{program[1]}` is missing where the node was looked at")
        return found

    def read(self, field: str, parse: Callable[[], T], otherwise: T) -> T:
        """What `parse` reads from it; where that fails, `otherwise`, and the field is noted as unread."""
        try:
            return parse()
        except ObservationError as error:
            self.unread[field] = str(error)
            return otherwise


def _split(text: str) -> Mapping[str, str]:
    """Name → what is below each mark, which begins a line; of lines as long as those of large clusters none is made."""
    parts = (part.partition("\n") for part in f"\n{text}".split(f"\n{_MARK} ")[1:])
    return {name.rstrip(): told.strip() for name, _, told in parts}
