"""The machines under the nodes: what the API shows when they stop, start and restart."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from tests.apidouble.store import Object

if TYPE_CHECKING:
    from tests.apidouble.kubelet import Kubelet


class Machines:
    """Starts and stops machines, as Docker does those of kind."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        self._store = kubelet.store
        self._backend = kubelet.backend
        self._stopped: set[str] = set()

    def act(self, verb: str, node: str) -> None:
        """Do what `docker VERB NODE` does."""
        if verb == "stop":
            self._backend.machine(verb, node)
            self._stopped.add(node)
            self._ready(node, ready=False)
        elif verb == "restart" or node in self._stopped:
            self._backend.machine(verb, node)
            self._stopped.discard(node)
            self._boot(node)

    def _ready(self, node: str, *, ready: bool) -> None:
        if node in self._store.names("nodes"):
            status = {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]}
            self._store.merge("nodes", None, node, {"status": status})

    def _boot(self, node: str) -> None:
        """The kubelet registers its node and starts what the API has on it; controllers make what is missing."""
        for resource, value in self._backend.objects():
            its = resource in ("nodes", "ciliumnodes") and value["metadata"]["name"] == node
            if its and node not in self._store.names(resource):
                self._store.put(resource, value)
        self._ready(node, ready=True)
        pods = [pod for pod in self._store.select("pods") if pod["spec"].get("nodeName") == node]
        for pod in pods:
            self._again(pod)
        if not any(self._kubelet.agents.owns("pods", pod) for pod in pods):
            self._kubelet.agents.succeed(node)
        roles = {(pod["metadata"].get("labels") or {}).get("ciliumwg/role") for pod in pods}
        for made in self._store.select("daemonsets"):
            if made["metadata"]["namespace"].startswith("ciliumwg-") and made["metadata"]["name"] not in roles:
                self._kubelet.created("daemonsets", made, only=node)

    def _again(self, pod: Object) -> None:
        """The containers of a pod start anew, in the same pod."""
        for status in pod["status"].get("containerStatuses") or ():
            status["containerID"] = f"containerd://{uuid.uuid4().hex}"
        if not self._kubelet.agents.owns("pods", pod):
            self._backend.stop(pod)
            self._kubelet.start_again(pod)
        self._store.put("pods", pod)
