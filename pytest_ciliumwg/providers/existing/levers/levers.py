"""The levers of an existing cluster: all that its API allows."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ciliumwg.providers.existing.levers import agents
from pytest_ciliumwg.providers.existing.levers.grip import Grip

_NODES = frozenset({"drain_node", "remove_node", "add_node", "restart_node"})


class ExistingLevers:
    """What can be changed in an existing cluster."""

    def __init__(self, grip: Grip) -> None:
        self._grip = grip

    def unavailable(self, lever: str) -> str:
        """Why a lever cannot be used here; empty when it can."""
        if lever in _NODES:
            return f"{lever} needs access to the nodes themselves: use --ciliumwg-provider=kind"
        return ""

    def restart_agents(self, nodes: Sequence[str]) -> None:
        """Delete the agent pods of these nodes, and wait until their successors are ready."""
        agents.restart(self._grip, nodes)
