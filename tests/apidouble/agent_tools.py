"""What the Cilium agent's container offers on its PATH, told from the real state of the network namespace it runs in.

Copied into the sandbox under the names `cilium` or `cilium-dbg` and `bpftool`; standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DEVICE = "cilium_wg0"
VERSION = os.environ.get("CILIUM_VERSION", "")
ZERO = "0001-01-01T00:00:00.000Z"


def run(*argv: str) -> str | None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def table(field: str) -> dict[str, list[str]]:
    rows = (line.split("\t") for line in (run("wg", "show", DEVICE, field) or "").splitlines())
    return {row[0]: row[1:] for row in rows}


def moment(seconds: str) -> str:
    if not int(seconds):
        return ZERO
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def peers() -> Iterator[dict[str, Any]]:
    endpoints, allowed, handshakes, transfer = map(table, ("endpoints", "allowed-ips", "latest-handshakes", "transfer"))
    for key in endpoints:
        peer: dict[str, Any] = {
            "public-key": key,
            "endpoint": endpoints[key][0],
            "last-handshake-time": moment(handshakes[key][0]),
            "allowed-ips": [ip for ip in allowed[key][0].split() if ip != "(none)"] or None,
        }
        received, sent = (int(text) for text in transfer[key])
        # Go leaves zeros out.
        peer.update({name: n for name, n in (("transfer-rx", received), ("transfer-tx", sent)) if n})
        yield peer


def encryption() -> dict[str, Any]:
    if run("ip", "link", "show", DEVICE) is None:
        return {}
    found = list(peers())
    interface = {
        "name": DEVICE,
        "public-key": (run("wg", "show", DEVICE, "public-key") or "").strip(),
        "listen-port": int(run("wg", "show", DEVICE, "listen-port") or 0),
        "peer-count": len(found),
        "peers": found,
    }
    wireguard: dict[str, Any] = {"interfaces": [interface]}
    if [int(part) for part in VERSION.split(".")[:2]] >= [1, 14]:
        wireguard["node-encryption"] = "Disabled"
    return {"wireguard": wireguard}


def cilium(arguments: list[str]) -> Any:
    if arguments == ["version", "-o", "json"]:
        one = {"Version": VERSION, "Revision": "0123456789", "GoRuntimeVersion": "go1.21.13", "Arch": "linux/amd64"}
        return {"Client": one, "Daemon": one}
    if arguments == ["debuginfo", "--output", "json"]:
        return {"cilium-version": f"{VERSION} 0123456789", "encryption": encryption(), "policy": {}}
    sys.exit(f"Error: unknown command {arguments}")


def bpftool(arguments: list[str]) -> Any:
    if arguments != ["-j", "net", "show"]:
        sys.exit(f"Error: {arguments}")
    programs = []
    for device in sorted(path.name for path in Path("/sys/class/net").iterdir()):
        shown = run("tc", "filter", "show", "dev", device, "egress") or ""
        if f"Redirect to device {DEVICE}" in shown:
            # The lab's tc action stands for Cilium's program.
            place = {"devname": device, "ifindex": 2, "kind": "clsact/egress"}
            programs.append({**place, "name": f"cil_to_netdev-{device}", "id": 1})
    return [{"xdp": [], "tc": programs, "flow_dissector": []}]


tool = bpftool if Path(sys.argv[0]).name == "bpftool" else cilium
json.dump(tool(sys.argv[1:]), sys.stdout)
