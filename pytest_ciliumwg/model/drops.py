"""How many packets the datapath of a node has dropped, by why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """Packets since the node started."""

    by_policies: int = 0
    unencrypted: int = 0
    """What the strict mode for what leaves did not let out in cleartext."""
