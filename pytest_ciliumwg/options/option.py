"""What an option is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

PROVIDERS = ("kind", "existing", "lab", "offline")
LIVE = ("kind", "existing", "lab")
"""The providers whose cluster is there, so that something can be sent in it and changed."""
CLUSTERS = ("kind", "existing")
"""The providers that have a real Kubernetes."""
RECORDED = (*CLUSTERS, "offline")
"""The providers that have or had one."""


class Option(NamedTuple):  # a dataclass would take every run of pytest a millisecond more
    """One option; `parse` turns its text into a value and raises ValueError with what is accepted."""

    name: str
    help: str
    parse: Callable[[str], Any]
    default: str | None = None
    metavar: str | None = None
    flag: bool = False
    repeatable: bool = False
    providers: tuple[str, ...] = PROVIDERS
    """The providers that it goes with; with another one it is an error, never ignored."""

    @property
    def cli(self) -> str:
        """As on the command line."""
        return f"--{self.name}"

    @property
    def ini(self) -> str:
        """As in an ini file, and as the attribute of pytest's options."""
        return self.name.replace("-", "_")

    @property
    def env(self) -> str:
        """As an environment variable."""
        return self.ini.upper()

    @property
    def usage(self) -> str:
        """As a user writes it."""
        return self.cli if self.flag else f"{self.cli}={self.metavar}"
