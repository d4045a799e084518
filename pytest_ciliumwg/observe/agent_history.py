"""Restarts of Cilium's agents out of Pod objects, and what their logs say of WireGuard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pytest_ciliumwg.model.agent_history import AgentHistory
from pytest_ciliumwg.redaction import without_secrets

AGENT_CONTAINER = "cilium-agent"
_LEVEL = re.compile(rb"\blevel=\"?(warn(?:ing)?|error|fatal|panic)\b")
_FIELD = r'\b{}=(?:"((?:[^"\\]|\\.)*)"|(\S+))'
_MESSAGE, _ERROR = (re.compile(_FIELD.format(name)) for name in ("msg", "error"))
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_MOST = 5
"""Lines of one log that are kept, the newest."""
_LONGEST = 200


def histories_from_pods(objects: Iterable[Mapping[str, Any]]) -> dict[str, AgentHistory]:
    """Node → what its agent's container went through, of the pods that have one."""
    found: dict[str, AgentHistory] = {}
    for raw in objects:
        node = (raw.get("spec") or {}).get("nodeName")
        for status in (raw.get("status") or {}).get("containerStatuses") or ():
            if node and isinstance(status, Mapping) and status.get("name") == AGENT_CONTAINER:
                found[str(node)] = _history(status)
    return found


def _history(status: Mapping[str, Any]) -> AgentHistory:
    ended = (status.get("lastState") or {}).get("terminated") or {}
    restarts = status.get("restartCount")
    return AgentHistory(
        restarts=restarts if isinstance(restarts, int) else 0,
        ended_at=_moment(ended.get("finishedAt")),
        why=str(ended.get("reason") or ""),
    )


def _moment(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp() if text else None
    except ValueError:
        return None


def wireguard_lines(log: bytes) -> tuple[str, ...]:
    """What an agent's log says of WireGuard as a warning or worse; the same only once, with its newest time."""
    told: dict[str, str] = {}
    for line in log.split(b"\n"):
        level = _LEVEL.search(line)
        if level and b"wireguard" in line.lower():
            said, at = _said(line.decode("utf-8", "replace"))
            told.pop(said, None)
            told[said] = f"{at}{level[1].decode()}: {said}"
    return tuple(told.values())[-_MOST:]


def _said(line: str) -> tuple[str, str]:
    """The message with its error, and when it was, if the line tells."""
    parts = [found[1] or found[2] for found in (_MESSAGE.search(line), _ERROR.search(line)) if found]
    at = _STAMP.search(line)
    said = without_secrets(": ".join(parts) or line.strip())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…", f"{at[0]} " if at else ""
