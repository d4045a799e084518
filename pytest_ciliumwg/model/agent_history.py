"""What became of a node's Cilium agent, as Kubernetes and the agent's own log tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHistory:
    """One agent."""

    restarts: int = 0
    """How often its container was restarted."""
    ended_at: float | None = None
    """When it ended the last time, seconds since the epoch; None where it never did, or nothing tells."""
    why: str = ""
    """Why it ended then, such as `OOMKilled`."""
    lines: tuple[str, ...] = ()
    """What its log says of WireGuard as a warning or worse, a clause each, the newest last."""
