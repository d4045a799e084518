"""All that a look at a node tells, each part by itself: what cannot be read does not hide the rest."""

from __future__ import annotations

import socket
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Sequence

from .filters import filters
from .links import links
from .routes import routes, rules

FAMILIES = {"v4": int(socket.AF_INET), "v6": int(socket.AF_INET6)}


def look(device: str, families: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Part → `{told}`, or `{error}` with why it could not be read.

    Parts are `clock`, `links`, `rp_filter` of the device, `filters`, and for each family (`v4`, `v6`) `rules` and
    `routes`, such as `rules-v4`.
    """
    parts: dict[str, Callable[[], Any]] = {"clock": time.time, "links": links, "filters": filters}
    parts["rp_filter"] = lambda: Path("/proc/sys/net/ipv4/conf", device, "rp_filter").read_text(encoding="ascii")
    for name in families:
        parts[f"rules-{name}"] = partial(rules, FAMILIES[name])
        parts[f"routes-{name}"] = partial(routes, FAMILIES[name])
    return {name: _tried(read) for name, read in parts.items()}


def _tried(read: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"told": read()}
    except (OSError, ValueError) as error:
        return {"error": str(error)}
