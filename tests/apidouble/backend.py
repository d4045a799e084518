"""What the double needs of whatever stands behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tests.apidouble.containers import Running
from tests.apidouble.store import Object


class Backend(Protocol):
    """Where containers really run."""

    def objects(self) -> list[tuple[str, Object]]:
        """(resource, object) of all that the cluster consists of."""
        ...

    def refresh(self) -> list[tuple[str, Object]]:
        """Those of them that may have changed."""
        ...

    def start(self, pod: Object, files: Mapping[str, Mapping[str, bytes]]) -> list[str]:
        """Start a pod's container with the files of its ConfigMap volumes; returns the pod's addresses."""
        ...

    def stop(self, pod: Object) -> None:
        """End it."""
        ...

    def stop_agent(self, pod: Object) -> None:
        """End a Cilium agent and all that runs in its container."""
        ...

    def restart_agent(self, node: str) -> None:
        """Start an agent anew, and wait until it is well."""
        ...

    def machine(self, verb: str, node: str) -> None:
        """Stop, start or restart a node's machine."""
        ...

    def upgrade_node(self, node: str, version: str) -> None:
        """Start an agent of another version, and wait until it is well."""
        ...

    def endpoint(self, pod: Object, addresses: list[str]) -> Object | None:
        """The CiliumEndpoint of a pod, if it has one."""
        ...

    def node_port(self, node: str, port: int, protocol: str) -> int:
        """The NodePort that leads to a port of a node's test pod."""
        ...

    def serve(self, cluster_ip: str, address: str) -> None:
        """Lead a Service's ClusterIP to a pod, as kube-proxy does."""
        ...

    async def process(self, pod: Object, container: str, command: list[str]) -> Running:
        """Start a command in a container."""
        ...
