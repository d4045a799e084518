"""Access to outputs of a real Cilium: `recordings/<version>/<state>/[<node>/<where>/]<file>`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent / "recordings"
NODE = "rig-worker"
"""The node whose own outputs are kept."""
ON = ("v1.13/on", "v1.13/dual", "v1.14/on", "v1.15/on", "v1.15/dual", "v1.15/node-encryption", "v1.15/vxlan")
OFF = ("v1.13/off", "v1.13/off-fresh", "v1.15/off")
STATES = ON + OFF


def node(state: str, name: str) -> str:
    """What a command on the node printed."""
    return (ROOT / state / NODE / "node" / name).read_text()


def recording(path: str) -> str:
    """Any file."""
    return (ROOT / path).read_text()


def agent(state: str, name: str) -> str:
    """What a command in the agent's container printed."""
    return (ROOT / state / NODE / "agent" / name).read_text()


def failure(state: str, name: str) -> tuple[int, str]:
    """Exit status and standard error of a command on the node."""
    path = ROOT / state / NODE / "node" / name
    status, stderr = (path.with_name(f"{name}.{kind}") for kind in ("rc", "stderr"))
    return (int(status.read_text()), stderr.read_text()) if status.exists() else (0, "")


def objects(state: str, name: str) -> list[Mapping[str, Any]]:
    """The items of a list that the API returned."""
    items: list[Mapping[str, Any]] = json.loads((ROOT / state / name).read_text())["items"]
    return items


def config_data(state: str) -> dict[str, str]:
    """The entries of the ConfigMap cilium-config."""
    data: dict[str, str] = json.loads((ROOT / state / "cilium-config.json").read_text())["data"]
    return data
