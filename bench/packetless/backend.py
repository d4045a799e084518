"""What the API double needs of the cluster behind it, computed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from bench.packetless.agents import Agents
from bench.packetless.network import CONFIG, Network, PlacedNode
from bench.packetless.observed import Tools
from pytest_ciliumwg.model.cluster import Pod
from tests.apidouble import shapes
from tests.apidouble.agents import release
from tests.apidouble.containers import Running
from tests.apidouble.store import Object


class Answer:
    """A program in a container: it reads one line at most, prints its answer and ends."""

    def __init__(self, answer: Callable[[bytes], bytes], *, reads: bool) -> None:
        self._answer = answer
        self._read = bytearray()
        self.stdin = self
        self.stdout = asyncio.StreamReader()
        self.stderr = asyncio.StreamReader()
        self.returncode: int | None = None
        if not reads:
            self._finish(b"")

    def write(self, data: bytes) -> None:
        """Take some of its standard input."""
        self._read += data
        if self._read.endswith(b"\n"):
            self._finish(bytes(self._read))

    async def drain(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is left to read."""

    async def wait(self) -> int:
        """It has ended when its output has."""
        self.returncode = 0
        return 0

    def kill(self) -> None:
        """Nothing runs."""
        self.returncode = -9

    def _finish(self, line: bytes) -> None:
        self.stdout.feed_data(self._answer(line))
        self.stdout.feed_eof()
        self.stderr.feed_eof()


class PacketlessBackend:
    """A cluster that computes what its containers would print."""

    def __init__(self, count: int, leak: tuple[str, str] | None = None) -> None:
        self.network = Network(count)
        self._agents = Agents(self.network, leak)
        self._tools = Tools(self.network, self._agents.carried)

    def objects(self) -> list[tuple[str, Object]]:
        """Nodes, agents, pods and all."""
        found: list[tuple[str, Object]] = [
            ("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {}})
            for name in ("default", "kube-system")
        ]
        for node in self.network.nodes:
            published, image = node.published, shapes.agent_image(CONFIG.version)
            found.append(("nodes", shapes.node(node.name, published.addresses, control_plane=node.index == 0)))
            found.append(("pods", shapes.agent_pod(node.name, published.addresses[0], image=image)))
            found.append(("ciliumnodes", shapes.cilium_node(published, CONFIG.version)))
            found += [("ciliumendpoints", shapes.cilium_endpoint(pod, published.addresses[0])) for pod in node.pods]
        found.append(("daemonsets", shapes.agent_daemon_set(CONFIG.version, len(self.network.nodes))))
        found.append(("secrets", release(CONFIG.version, {}, 1)))
        return [*found, ("configmaps", shapes.cilium_config(CONFIG))]

    def refresh(self) -> list[tuple[str, Object]]:
        """Nothing changes by itself."""
        return []

    def start(self, pod: Object, files: Mapping[str, Mapping[str, bytes]]) -> list[str]:
        """Give a pod its addresses."""
        del files
        node = self._node(pod)
        if pod["spec"].get("hostNetwork"):
            return [str(ip) for ip in node.published.addresses]
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        made = Pod(name=name, namespace=namespace, node=node.name, addresses=node.pod_address(0))
        node.test_pods[name] = made
        return [str(ip) for ip in made.addresses]

    def stop(self, pod: Object) -> None:
        """Let a pod be gone."""
        self._node(pod).test_pods.pop(pod["metadata"]["name"], None)

    def endpoint(self, pod: Object, addresses: list[str]) -> Object | None:
        """A test pod's own endpoint."""
        del addresses
        node = self._node(pod)
        made = node.test_pods.get(pod["metadata"]["name"])
        return shapes.cilium_endpoint(made, node.published.addresses[0]) if made else None

    def serve(self, cluster_ip: str, address: str) -> None:
        """Lead a Service's address to a pod."""
        self.network.lead(cluster_ip, address)

    async def process(self, pod: Object, container: str, command: list[str]) -> Running:
        """Start a program."""
        node = self._node(pod)
        if container == shapes.AGENT:
            return Answer(lambda _: self._tools.run(node, command[-1]).encode(), reads=False)
        name = pod["metadata"]["name"]

        def answer(line: bytes) -> bytes:
            request: dict[str, Any] = json.loads(line)
            return json.dumps(self._agents.answer(name, node, request), separators=(",", ":")).encode() + b"\n"

        return Answer(answer, reads=True)

    def _node(self, pod: Object) -> PlacedNode:
        return self.network.by_name[pod["spec"]["nodeName"]]

    def stop_agent(self, pod: Object) -> None:
        """Nothing is changed in this cluster."""

    def restart_agent(self, node: str) -> None:
        """Nothing is changed in this cluster."""

    def machine(self, verb: str, node: str) -> None:
        """Nothing is changed in this cluster."""

    def upgrade_node(self, node: str, version: str) -> None:
        """Nothing is changed in this cluster."""

    def node_port(self, node: str, port: int, protocol: str) -> int:
        """None of its own: the profile extended is not asked for."""
        del node, protocol
        return port
