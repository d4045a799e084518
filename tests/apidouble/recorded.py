"""A recorded cluster: its objects and outputs are those of a real one, and nothing runs."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_ciliumwg.model.cluster import Node
from pytest_ciliumwg.observe.kubernetes import nodes_from_ciliumnodes
from tests.apidouble import shapes
from tests.apidouble.agents import release
from tests.apidouble.containers import Running
from tests.apidouble.store import Object

RECORDINGS = Path(__file__).parent.parent / "recordings"
NODE = "rig-worker"
"""The node whose outputs are kept; all nodes answer with them."""

_HELLO = 'read -r line; echo \'{"ok":true,"version":1}\''


class RecordedBackend:
    """Answers from `recordings/<state>`; agents of ours say hello and no more."""

    def __init__(self, state: str, scratch: Path) -> None:
        self._state = RECORDINGS / state
        self._answers = scratch / "answers"
        self._tools = scratch / "bin"
        self.nodes: tuple[Node, ...] = nodes_from_ciliumnodes(self._items("ciliumnodes"))
        self._answers.mkdir()
        self._tools.mkdir()
        self.values: Object = {}
        """What Helm's user has set."""
        self.version = _version(self._state)
        self._versions: dict[str, str] = {}
        self.restarts: list[str] = []
        """Nodes whose agents were restarted."""
        if (self._state / NODE).exists():
            self._record()

    def _items(self, name: str) -> list[Object]:
        path = self._state / f"{name}.json"
        items: list[Object] = json.loads(path.read_text("utf-8"))["items"] if path.exists() else []
        return items

    def objects(self) -> list[tuple[str, Object]]:
        """The recorded objects; nodes and agent pods as they would be where none were recorded."""
        made: list[tuple[str, Object]] = [("namespaces", {"metadata": {"name": "kube-system"}, "status": {}})]
        made += [
            (kind, item) for kind in ("ciliumnodes", "ciliumendpoints", "nodes", "pods") for item in self._items(kind)
        ]
        if not self._items("nodes"):
            made += [("nodes", shapes.node(node.name, node.addresses, control_plane=False)) for node in self.nodes]
        if not self._items("pods"):
            image = shapes.agent_image(self.version)
            made += [("pods", shapes.agent_pod(node.name, node.addresses[0], image=image)) for node in self.nodes]
        made.append(("daemonsets", shapes.agent_daemon_set(self.version, len(self.nodes))))
        made.append(("secrets", release(self.version, self.values, 1)))
        config = json.loads((self._state / "cilium-config.json").read_text("utf-8"))
        config["metadata"] = {"name": "cilium-config", "namespace": "kube-system"}
        return [*made, ("configmaps", config)]

    def refresh(self) -> list[tuple[str, Object]]:
        """Nothing changes."""
        return []

    def start(self, pod: Object, files: Mapping[str, Mapping[str, bytes]]) -> list[str]:
        """Give a pod the last address of its node's network."""
        assert "agent.pyz" in files["agent"]
        node = next(node for node in self.nodes if node.name == pod["spec"]["nodeName"])
        if pod["spec"].get("hostNetwork"):
            return [str(ip) for ip in node.addresses]
        return [str(cidr[-2]) for cidr in node.pod_cidrs]

    def stop(self, pod: Object) -> None:
        """Nothing runs."""

    def endpoint(self, pod: Object, addresses: list[str]) -> Object | None:
        """A pod's own endpoint."""
        if pod["spec"].get("hostNetwork"):
            return None
        node = next(node for node in self.nodes if node.name == pod["spec"]["nodeName"])
        pair = {("ipv6" if ":" in ip else "ipv4"): ip for ip in addresses}
        return {
            "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]},
            "status": {"networking": {"addressing": [pair], "node": str(node.addresses[0])}},
        }

    def stop_agent(self, pod: Object) -> None:
        """Nothing runs."""

    def restart_agent(self, node: str) -> None:
        """Nothing runs."""
        self.restarts.append(node)

    def machine(self, verb: str, node: str) -> None:
        """Nothing runs."""

    def upgrade_node(self, node: str, version: str) -> None:
        """Let the node's tools tell another version."""
        self._versions[node] = version

    def node_port(self, node: str, port: int, protocol: str) -> int:
        """One that leads nowhere."""
        del node
        return 9000 + port + (protocol == "UDP")

    def serve(self, cluster_ip: str, address: str) -> None:
        """Nothing runs, so nothing is led anywhere."""

    async def process(self, pod: Object, container: str, command: list[str]) -> Running:
        """Start a command in a container."""
        return await asyncio.create_subprocess_exec(
            *self.command(pod, container, command), stdin=PIPE, stdout=PIPE, stderr=PIPE
        )

    def command(self, pod: Object, container: str, command: list[str]) -> list[str]:
        """The recorded tools for the agent's container, a greeting for ours."""
        if container != "cilium-agent":
            return ["sh", "-c", _HELLO]
        version = self._versions.get(pod["spec"]["nodeName"])
        if version is not None and "version -o json" in command[-1]:
            return ["echo", json.dumps({"Client": {"Version": version}, "Daemon": {"Version": version}})]
        return ["env", "-i", f"PATH={self._tools}:/usr/bin:/bin", *command]

    def _record(self) -> None:
        node, agent = self._state / NODE / "node", self._state / NODE / "agent"
        self._answer("ip -j -d addr show", json.dumps(_links(node)))
        self._answer("ip -j -4 rule show", (node / "ip-rule.json").read_text("utf-8"))
        self._answer("ip -j -6 rule show", (node / "ip-6-rule.json").read_text("utf-8"))
        for family, recorded in (("4", "ip-route.txt"), ("6", "ip-6-route-table-all.txt")):
            routes = routes_as_json((node / recorded).read_text("utf-8"))
            for table in ("main", "all"):  # of all tables the JSON was not recorded; these have the same pods' routes
                self._answer(f"ip -j -{family} route show table {table}", routes)
        self._copy("ip -j -4 route show table 201", node / "ip-route-table-201.json")
        six = node / "ip-6-route-table-201.txt"
        self._copy("ip -j -6 route show table 201", six, routes_as_json(six.read_text("utf-8")))
        self._copy("bpftool -j net show", node / "bpftool-net.json")
        tool = "cilium" if "v1.13" in str(node) or "v1.14" in str(node) else "cilium-dbg"
        self._copy(f"{tool} version -o json", agent / "version.json")
        self._answer(
            f"{tool} debuginfo --output json", json.dumps(_debuginfo((agent / "wg-show-all-dump.txt").read_text()))
        )
        self._answer("cat /proc/sys/net/ipv4/conf/cilium_wg0/rp_filter", "0\n")

    def _copy(self, command: str, source: Path, text: str | None = None) -> None:
        beside = {kind: source.with_name(f"{source.name}.{kind}") for kind in ("rc", "stderr")}
        status, stderr = (path.read_text("utf-8").strip() if path.exists() else "" for path in beside.values())
        self._answer(command, source.read_text("utf-8") if text is None else text, int(status or 0), stderr)

    def _answer(self, command: str, text: str, status: int = 0, stderr: str = "") -> None:
        """Let a tool of the agent's container answer one command line of its."""
        name, _, arguments = command.partition(" ")
        answer, tool = self._answers / str(len(list(self._answers.iterdir()))), self._tools / name
        answer.write_text(text, encoding="utf-8")
        if not tool.exists():
            tool.write_text("#!/bin/sh\n", encoding="utf-8")
            tool.chmod(0o755)
        said = f"echo {shlex.quote(stderr)} >&2; " if stderr else ""
        with tool.open("a", encoding="utf-8") as script:
            script.write(f'[ "$*" = {shlex.quote(arguments)} ] && {{ /bin/cat {answer}; {said}exit {status}; }}\n')


def _version(state: Path) -> str:
    """The version that the recorded agent told; where it was not recorded, that of the folder."""
    path = state / NODE / "agent" / "version.json"
    found = re.search(r"\d+\.\d+\.\d+(-[\w.]+)?", path.read_text("utf-8")) if path.exists() else None
    return found[0] if found else "1.15.0"


def _links(node: Path) -> list[Object]:
    """The addresses were recorded without `-d`; of cilium_wg0 the details were too."""
    links: list[Object] = json.loads((node / "ip-addr.json").read_text("utf-8"))
    path = node / "ip-d-link-cilium_wg0.json"
    details: list[Object] = json.loads(path.read_text("utf-8") or "[]") if path.exists() else []
    known = {link["ifname"]: link.get("linkinfo") for link in details if link}
    return [
        {**link, **({"linkinfo": known[link["ifname"]]} if known.get(link.get("ifname")) else {})} for link in links
    ]


def routes_as_json(text: str) -> str:
    """`ip route` as text, of the tables main and 201, to what `-j` prints."""
    found = []
    for words in (line.split() for line in text.splitlines()):
        if words and "table" not in words:
            named: dict[str, Any] = {"dst": words[0]}
            for name, key in (("via", "gateway"), ("dev", "dev")):
                if name in words:
                    named[key] = words[words.index(name) + 1]
            found.append(named)
    return json.dumps(found)


def _debuginfo(dump: str) -> Object:
    """`wg show all dump` to what the agent's debuginfo says of the same peers; its JSON was not recorded."""
    rows = [line.split("\t") for line in dump.splitlines() if line.strip()]
    if not rows:
        return {"cilium-version": "recorded", "encryption": {}}
    first, *peers = rows
    interface = {
        "name": first[0],
        "public-key": first[2],
        "listen-port": int(first[3]),
        "peers": list(map(_peer, peers)),
    }
    return {"cilium-version": "recorded", "encryption": {"wireguard": {"interfaces": [interface]}}}


def _peer(row: list[str]) -> Object:
    seconds = int(row[5])
    shaken = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "public-key": row[1],
        "endpoint": row[3],
        "allowed-ips": row[4].split(","),
        "last-handshake-time": shaken if seconds else "0001-01-01T00:00:00.000Z",
        "transfer-rx": int(row[6]),
        "transfer-tx": int(row[7]),
    }
