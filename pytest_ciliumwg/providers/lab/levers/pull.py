"""The lab's levers, as the protocol `Levers` has them."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.levers import agents


class LabLevers:
    """Changes a lab that stands; see `Levers` for what each method promises."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def restart_agents(self, nodes: Sequence[str]) -> None:
        """End the imitated agents of these nodes at once, and start others after half a second."""
        agents.restart_agents(self._lab, nodes)

    def replace_key(self, node: str) -> None:
        """Give a node a new private key, and restart its agent."""
        agents.replace_key(self._lab, node)

    def restore(self) -> None:
        """Undo everything that is not undone."""
        self._lab.undone.restore()
