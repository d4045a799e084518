"""The nodes of a kind cluster: objects of the API, and containers of Docker."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.observe.kubernetes import node_facts
from pytest_ciliumwg.providers.existing.operations import ContainerContext
from pytest_ciliumwg.providers.kubernetes.errors import NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.resources import path_of
from pytest_ciliumwg.providers.programs import reason, run_whole

_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_MIRROR = "kubernetes.io/config.mirror"
"""On pods that a kubelet runs from files; the API only shows them."""
_EVICTIONS = ("policy/v1", "policy/v1beta1")
"""The newer from Kubernetes 1.22 on."""
_BAD_REQUEST = 400
_ENGINE_SECONDS = 120.0

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of one cluster."""

    context: ContainerContext
    engine: Path
    """Docker, or what kind uses in its place."""
    names: Collection[str]
    """Of all nodes, also of those that are away."""

    def check_name(self, node: str) -> None:
        """Refuse what is no node of this cluster: the engine has other containers too.

        Raises:
            ProviderError: it is none.
        """
        if node not in self.names:
            raise ProviderError(f"there is no node {node} in this cluster, only {', '.join(sorted(self.names))}")

    def check(self, node: str) -> None:
        """Refuse also the control plane, without which nothing can be seen or undone.

        Raises:
            ProviderError: the node cannot be touched.
        """
        self.check_name(node)
        found = self.context.kube.get("nodes", node)
        if found is None:
            raise ProviderError(f"node {node} is not in the cluster now")
        if any(label in (found["metadata"].get("labels") or {}) for label in _CONTROL_PLANE):
            raise ProviderError(f"node {node} is the control plane of this cluster, which has to stay: take a worker")

    def cordon(self, node: str) -> None:
        """Let no new pods onto a node."""
        self.context.kube.patch("nodes", node, {"spec": {"unschedulable": True}})

    def uncordon(self, node: str) -> None:
        """Let new pods onto it again."""
        self.context.kube.patch("nodes", node, {"spec": {"unschedulable": None}})

    def evict(self, node: str) -> None:
        """Evict a node's pods, but those of DaemonSets and of files, and wait until they are gone.

        Raises:
            ProviderError: the API refuses, or they do not go in time.
        """
        evicted = {pod["metadata"]["uid"] for pod in self.context.kube.list("pods", node=node) if self._evict(pod)}

        def missing() -> str:
            left = [pod for pod in self.context.kube.list("pods", node=node) if pod["metadata"]["uid"] in evicted]
            return f"{left[0]['metadata']['namespace']}/{left[0]['metadata']['name']} is still there" if left else ""

        self.context.wait(missing, f"the pods of node {node} were not evicted")

    def _evict(self, pod: Object) -> bool:
        """Whether it was to be evicted."""
        metadata, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
        owners = [owner.get("kind") for owner in metadata.get("ownerReferences") or ()]
        if "DaemonSet" in owners or _MIRROR in (metadata.get("annotations") or {}) or phase in ("Succeeded", "Failed"):
            return False
        namespace, name = metadata["namespace"], metadata["name"]
        for version in _EVICTIONS:
            body = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
            where = path_of("pods", namespace, name) + "/eviction"
            try:
                self.context.kube.request(f"evict pod {namespace}/{name}", "POST", where, body=body)
            except KubeError as error:
                if error.status == NOT_FOUND:
                    return False  # it has gone by itself
                if error.status != _BAD_REQUEST or version == _EVICTIONS[-1]:
                    raise
            else:
                break
        return True

    def stop(self, node: str) -> None:
        """Stop a node's container."""
        self._engine("stop", node)

    def start(self, node: str) -> None:
        """Start it; a container that runs goes on."""
        self._engine("start", node)

    def restart(self, node: str) -> None:
        """Restart it."""
        self._engine("restart", node)

    def _engine(self, verb: str, node: str) -> None:
        # The engine goes on without its client: what is undone must not meet what is still being done.
        done = run_whole([self.engine, verb, node], timeout=_ENGINE_SECONDS)
        if not done.ok:
            raise ProviderError(f"`{done.command}` failed: {reason(done, _ENGINE_SECONDS)}")

    def delete(self, node: str) -> None:
        """Delete a stopped node and its pods from the API: its kubelet cannot report any more that they have ended."""
        kube = self.context.kube
        # The node first: as long as it is there, its DaemonSets' pods are made anew.
        kube.delete("nodes", node)
        for pod in kube.list("pods", node=node):
            metadata = pod["metadata"]
            kube.delete("pods", metadata["name"], namespace=metadata["namespace"], grace=0, uid=metadata.get("uid"))
        kube.delete("ciliumnodes", node)

    def containers(self, node: str) -> frozenset[str]:
        """The ids of the containers that run in Cilium's and in our pods on a node: others after a restart."""
        kube = self.context.kube
        ours = kube.list("pods", namespace=self.context.installation.run.namespace, node=node)
        theirs = self.context.cilium.agent_pods(node)
        statuses = [
            status for pod in (*ours, *theirs) for status in (pod.get("status") or {}).get("containerStatuses") or ()
        ]
        return frozenset(str(status["containerID"]) for status in statuses if status.get("containerID"))

    def await_ready(self, node: str, gone: frozenset[str] = frozenset()) -> None:
        """Wait until a node is Ready, and none of these containers is shown on it any more.

        Raises:
            ProviderError: it does not become so in time.
        """

        def missing() -> str:
            found = self.context.kube.get("nodes", node)
            if found is None:
                return "it has not joined the cluster"
            if not node_facts(found).ready:
                return "it is NotReady"
            return "its pods have not been started anew" if gone & self.containers(node) else ""

        self.context.wait(missing, f"node {node} was not back")
