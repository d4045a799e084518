"""Cilium's DaemonSet: the controller that gives every node an agent, and rolls a new version out."""

from __future__ import annotations

import itertools
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.apidouble import shapes
from tests.apidouble.backend import Backend
from tests.apidouble.mishaps import Mishap
from tests.apidouble.store import Object, Store

NAMESPACE, NAME = "kube-system", "cilium"
_TAG = re.compile(r":v([^@]+)")


class AgentController:
    """Acts on what clients do to Cilium's DaemonSet and its pods."""

    def __init__(self, store: Store, backend: Backend, mishaps: list[Mishap], pool: ThreadPoolExecutor) -> None:
        self._store = store
        self._backend = backend
        self._mishaps = mishaps
        self._pool = pool
        self._numbers = itertools.count(1)
        self._rolling = threading.Lock()
        self.closed = False

    def owns(self, resource: str, value: Object) -> bool:
        """Whether an object is Cilium's DaemonSet or one of its pods."""
        metadata = value["metadata"]
        if metadata.get("namespace") != NAMESPACE:
            return False
        return resource == "pods" and (metadata.get("labels") or {}).get("k8s-app") == NAME

    def deleted(self, pod: Object) -> None:
        """A client deleted an agent pod."""
        self._end(pod)
        self._pool.submit(self.succeed, pod["spec"]["nodeName"])

    def _end(self, pod: Object) -> None:
        self._backend.stop_agent(pod)
        self._store.remove("pods", NAMESPACE, pod["metadata"]["name"])

    def succeed(self, node: str, version: str | None = None) -> None:
        """Give a node a new agent: its pod is there at once, and ready when the agent is."""
        mishap = next((mishap for mishap in self._mishaps if mishap.hits("cilium", node) and mishap.role), Mishap())
        if mishap.absent or node not in self._store.names("nodes"):
            return
        image = self._store.get("daemonsets", NAMESPACE, NAME)["spec"]["template"]["spec"]["containers"][0]["image"]
        address = next(
            address["address"]
            for address in self._store.get("nodes", None, node)["status"]["addresses"]
            if address["type"] == "InternalIP"
        )
        pod = shapes.agent_pod(node, address, image=image, name=f"cilium-{next(self._numbers):05d}")
        well = dict(pod["status"])
        status = {"name": shapes.AGENT, "ready": False, "state": {"waiting": {"reason": "PodInitializing"}}}
        if mishap.waiting:
            status |= mishap.container_state()
        unwell = {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [status]}
        pod["status"] = {**well, "phase": "Pending", **unwell}
        self._store.put("pods", pod)
        if mishap.waiting:
            return
        if version is None:
            self._backend.restart_agent(node)
        else:
            self._backend.upgrade_node(node, version)
        pod["status"] = well | {"containerStatuses": shapes.agent_pod(node, address)["status"]["containerStatuses"]}
        self._store.put("pods", pod)

    def heal(self) -> None:
        """Nothing goes wrong any more, and every node gets the agent that it lacks."""
        self._mishaps.clear()
        well = {
            pod["spec"]["nodeName"]
            for pod in self._store.select("pods", NAMESPACE, {"k8s-app": NAME})
            if pod["status"]["phase"] == "Running"
        }
        for node in self._store.names("nodes"):
            if node not in well:
                self.succeed(node)

    def changed(self, before: Object, after: Object) -> None:
        """A client changed the DaemonSet: if its pods shall be others, they become so, node by node."""
        if before["spec"]["template"] != after["spec"]["template"]:
            strategy = after["spec"].get("updateStrategy") or {}
            self._status(updated=0)
            if strategy.get("type") != "OnDelete":
                self._pool.submit(self._roll_out, after)

    def _roll_out(self, wanted: Object) -> None:
        image = wanted["spec"]["template"]["spec"]["containers"][0]["image"]
        found = _TAG.search(image)
        with self._rolling:
            pods = self._store.select("pods", NAMESPACE, {"k8s-app": NAME})
            for done, pod in enumerate(sorted(pods, key=lambda pod: pod["spec"]["nodeName"]), 1):
                if self.closed:
                    return
                self._end(pod)
                self.succeed(pod["spec"]["nodeName"], found[1] if found else None)
                self._status(updated=done)
                time.sleep(0.01)

    def _status(self, *, updated: int) -> None:
        made = self._store.get("daemonsets", NAMESPACE, NAME)
        made["status"] |= {"observedGeneration": made["metadata"]["generation"], "updatedNumberScheduled": updated}
        self._store.put("daemonsets", made)


def release(version: str, values: Object, number: int) -> Object:
    """The secret in which Helm keeps one revision; what the stand-in for helm needs of it."""
    name = f"sh.helm.release.v1.cilium.v{number}"
    labels = {"owner": "helm", "name": "cilium", "version": str(number), "status": "deployed"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "data": {"release": "x" * 4096, "values": values, "chart": version},
    }
