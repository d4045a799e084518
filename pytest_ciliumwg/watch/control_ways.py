"""By which ways control canaries go to other nodes: one more whenever those so far did not suffice."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_ciliumwg.agent.capture.controls import WAYS

WAY_PERIODS = 4.0
"""How many periods of a continuous watch control canaries have to arrive, before they are sent by one more way."""


@dataclass(slots=True)
class ControlWays:
    """The ways in use, of all that an agent knows."""

    used: list[str] = field(default_factory=lambda: list(WAYS)[:1])

    def widen(self) -> bool:
        """Use one more; returns whether there was one."""
        left = list(WAYS)[len(self.used) :]
        self.used += left[:1]
        return bool(left)
