"""What can be made to go wrong with pods and namespaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """What happens to the pods of DaemonSets, and to namespaces that are deleted."""

    role: str = ""
    """Only to this DaemonSet's; empty for all."""
    node: str = ""
    """Only on this node; empty for all."""
    waiting: tuple[str, str] | None = None
    """The container waits for ever with this reason and message."""
    ended: str = ""
    """The last message of a container that waits, having ended with status 1 before."""
    unschedulable: str = ""
    """The pod is not scheduled, for this reason."""
    refused: str = ""
    """The API server refuses the controller the pods, with this message."""
    event: tuple[str, str] | None = None
    """A warning event about the pod: reason and message."""
    absent: bool = False
    """The controller makes no pod."""
    evictions: int = 0
    """So many pods fail with Evicted before one runs."""
    passes_after: int | None = None
    """After so many looks at the pods the mishap is over."""
    namespace_stays: str = ""
    """Namespaces that are deleted stay, for this reason."""

    def hits(self, role: str, node: str) -> bool:
        """Whether it happens to a DaemonSet's pod on a node."""
        return self.role in ("", role) and self.node in ("", node)

    def container_state(self) -> dict[str, Any]:
        """The container's part of a status."""
        reason, message = self.waiting or ("ContainerCreating", "")
        state: dict[str, Any] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        last: Mapping[str, Any] = (
            {"terminated": {"exitCode": 1, "reason": "Error", "message": self.ended}} if self.ended else {}
        )
        return {"state": state, "lastState": dict(last), "ready": False}
