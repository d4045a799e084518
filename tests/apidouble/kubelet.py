"""The controllers of the double: pods from DaemonSets, containers from pods, an end for namespaces."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network, IPv6Network

from tests.apidouble.agents import AgentController
from tests.apidouble.backend import Backend
from tests.apidouble.machines import Machines
from tests.apidouble.mishaps import Mishap
from tests.apidouble.store import Object, Refusal, Store

_CLUSTER_IPS: dict[str, IPv4Network | IPv6Network] = {
    "IPv4": IPv4Network("10.96.0.0/12"),
    "IPv6": IPv6Network("fd00:10:96::/112"),
}


class Kubelet:
    """Acts on what clients create and delete."""

    def __init__(self, store: Store, backend: Backend) -> None:
        self.store = store
        self.backend = backend
        self.mishaps: list[Mishap] = []
        self.looks = 0
        """How often clients have listed pods of a run."""
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="kubelet")
        self._evicted: dict[str, int] = {}
        self._lock = threading.Lock()
        self._open = True
        self._deleted: set[str] = set()
        """The uids of pods that clients have deleted."""
        self._services = itertools.count(100)
        self.agents = AgentController(store, backend, self.mishaps, self._pool)
        self.machines = Machines(self)

    def created(self, resource: str, made: Object, *, only: str = "") -> None:
        """A client created an object; or one node needs what it says."""
        if resource == "namespaces":
            made["status"] = {"phase": "Active"}
            self.store.put(resource, made)
        if resource == "services":
            self._allocate(made)
        if resource == "pods":
            self._pool.submit(self._alone, made)
        if resource == "daemonsets":
            for node in [only] if only else self._nodes(made):
                self._pool.submit(self._schedule, made, node)

    def _allocate(self, made: Object) -> None:
        """Give a Service its ClusterIPs, one for each family of its endpoints."""
        metadata = made["metadata"]
        labels = {"kubernetes.io/service-name": metadata["name"]}
        number = next(self._services)
        ips: list[str] = []
        for endpoints in self.store.select("endpointslices", metadata["namespace"], labels):
            for port in made["spec"]["ports"] if made["spec"].get("type") == "NodePort" else ():
                node = endpoints["endpoints"][0]["nodeName"]
                port["nodePort"] = self.backend.node_port(node, port["port"], port["protocol"])
            ip = str(_CLUSTER_IPS[endpoints["addressType"]][number])
            self.backend.serve(ip, endpoints["endpoints"][0]["addresses"][0])
            ips.append(ip)
        # Others may read the object meanwhile: what they look at first comes last.
        made["spec"]["clusterIP"] = ips[0] if ips else "None"
        made["spec"]["clusterIPs"] = ips
        self.store.put("services", made)

    def deleted(self, resource: str, gone: Object, grace: int | None) -> None:
        """A client deleted an object."""
        if resource == "namespaces":
            self._pool.submit(self._end, gone)
        elif self.agents.owns(resource, gone):
            self.agents.deleted(gone)
        elif resource == "pods":
            self._delete_pod(gone, grace)
        else:
            self.store.remove(resource, gone["metadata"].get("namespace"), gone["metadata"]["name"])

    def changed(self, resource: str, before: Object, after: Object) -> None:
        """A client changed an object."""
        if resource == "daemonsets":
            self.agents.changed(before, after)

    def _delete_pod(self, gone: Object, grace: int | None) -> None:
        """With a grace period of 0 the object is gone at once, else when its process is."""
        self._deleted.add(gone["metadata"]["uid"])
        if grace != 0:
            self.store.put(
                "pods", {**gone, "metadata": {**gone["metadata"], "deletionTimestamp": "2026-11-22T13:00:00Z"}}
            )
            self._pool.submit(self._gone, gone)
        else:
            self._gone(gone)

    def _gone(self, pod: Object) -> None:
        metadata = pod["metadata"]
        namespace = metadata["namespace"]
        self.backend.stop(pod)
        self.store.remove("pods", namespace, metadata["name"])
        self.store.remove("ciliumendpoints", namespace, metadata["name"])
        owner = (metadata.get("ownerReferences") or [{}])[0].get("name")
        for made in self.store.select("daemonsets", namespace):
            if made["metadata"]["name"] == owner and pod["spec"]["nodeName"] in self.store.names("nodes"):
                self._pool.submit(self._schedule, made, pod["spec"]["nodeName"])

    def _alone(self, made: Object) -> None:
        """Run a pod that no DaemonSet has made."""
        metadata = made["metadata"]
        made["status"] = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}
        mishap = next((mishap for mishap in self.mishaps if mishap.hits("extra-pod", "")), Mishap())
        made["spec"]["nodeName"] = self._nodes({"spec": {"template": made}})[0]
        if mishap.waiting:
            made["status"]["containerStatuses"] = [{"name": "agent", **mishap.container_state()}]
            self.store.put("pods", made)
            return
        try:
            self._start(made, made)
            if metadata["uid"] in self._deleted:
                self._gone(made)  # it was deleted before it ran
        except Refusal:
            pass  # the namespace went away meanwhile
        except Exception as error:  # as in `_schedule`
            self._event(metadata["namespace"], metadata["name"], "FailedCreate", f"DOUBLE: {error!r}")

    def looked(self) -> None:
        """A client looks at the pods of a run: time passes for mishaps that end."""
        self.looks += 1
        for mishap in list(self.mishaps):
            if mishap.passes_after is not None and self.looks > mishap.passes_after:
                self.mishaps.remove(mishap)
                for made in self.store.select("daemonsets"):
                    if made["metadata"]["namespace"].startswith("ciliumwg-"):
                        self.created("daemonsets", made)

    def close(self) -> None:
        """Stop."""
        self._open = False
        self.agents.closed = True
        self._pool.shutdown(wait=True)

    def _nodes(self, made: Object) -> list[str]:
        affinity = made["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
        terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        wanted = [value for term in terms for field in term["matchFields"] for value in field["values"]]
        return [name for name in self.store.names("nodes") if name in wanted]

    def _schedule(self, made: Object, node: str) -> None:
        try:
            self._run(made, node)
        except Refusal:
            pass  # the namespace went away meanwhile
        except Exception as error:  # a double that fails must say so where the test can see it
            self._event(made["metadata"]["namespace"], made["metadata"]["name"], "FailedCreate", f"DOUBLE: {error!r}")

    def _run(self, made: Object, node: str) -> None:
        role, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
        mishap = next(
            (mishap for mishap in self.mishaps if not mishap.namespace_stays and mishap.hits(role, node)), Mishap()
        )
        if mishap.refused or (why := self._insecure(namespace)):
            self._event(namespace, role, "FailedCreate", mishap.refused or why)
            return
        if mishap.absent:
            return
        pod = self._pod(made, node)
        if mishap.unschedulable:
            reason = {"reason": "Unschedulable", "message": mishap.unschedulable}
            pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", **reason}]
            self._replace(made, pod)
            return
        if mishap.waiting or mishap.event:
            pod["status"]["containerStatuses"] = [{"name": "agent", **mishap.container_state()}]
            self._replace(made, pod)
            if mishap.event:
                self._event(namespace, pod["metadata"]["name"], *mishap.event)
            return
        if self._evicted.get(f"{role}/{node}", 0) < mishap.evictions:
            self._evict(made, pod, role, node)
            return
        self._start(made, pod)

    def _evict(self, made: Object, pod: Object, role: str, node: str) -> None:
        self._evicted[f"{role}/{node}"] = self._evicted.get(f"{role}/{node}", 0) + 1
        pod["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        self._replace(made, pod)
        time.sleep(0.1)
        self._run(made, node)

    def _start(self, made: Object, pod: Object) -> None:
        self._replace(made, pod)
        addresses = self.backend.start(pod, self._files(pod))
        pod["status"] |= {
            "phase": "Running",
            "podIP": addresses[0],
            "podIPs": [{"ip": ip} for ip in addresses],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "name": "agent",
                    "ready": True,
                    "state": {"running": {}},
                    "containerID": f"containerd://{secrets.token_hex(16)}",
                }
            ],
        }
        try:
            self._put_inside(made, "pods", pod)
            endpoint = self.backend.endpoint(pod, addresses)
            if endpoint is not None:
                self._put_inside(made, "ciliumendpoints", endpoint)
        except Refusal:
            self.backend.stop(pod)  # the namespace went away while the container was started
            raise

    def start_again(self, pod: Object) -> None:
        """A pod's container starts anew."""
        self.backend.start(pod, self._files(pod))

    def _replace(self, made: Object, pod: Object) -> None:
        namespace, node = made["metadata"]["namespace"], pod["spec"].get("nodeName")
        if pod["metadata"].get("ownerReferences"):
            for old in self.store.select("pods", namespace, pod["metadata"]["labels"], node=node):
                self.store.remove("pods", namespace, old["metadata"]["name"])
        self._put_inside(made, "pods", pod)

    def _put_inside(self, made: Object, resource: str, value: Object) -> None:
        namespace = made["metadata"]["namespace"]
        with self._lock:
            found = self.store.get("namespaces", None, namespace)
            if found["metadata"].get("deletionTimestamp"):
                raise Refusal(403, "Forbidden", "the namespace is terminating")
            self.store.put(resource, value)

    def _pod(self, made: Object, node: str) -> Object:
        template = made["spec"]["template"]
        name = f"{made['metadata']['name']}-{secrets.token_hex(5)}"
        owner = {"kind": "DaemonSet", "name": made["metadata"]["name"]}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": name,
                "namespace": made["metadata"]["namespace"],
                "ownerReferences": [owner],
            },
            "spec": {**template["spec"], "nodeName": node, "affinity": _affinity(node)},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]},
        }

    def _files(self, pod: Object) -> dict[str, dict[str, bytes]]:
        import base64

        namespace = pod["metadata"]["namespace"]
        found = {}
        for volume in pod["spec"].get("volumes") or ():
            files: dict[str, bytes] = {}
            if "configMap" in volume:
                stored = self.store.get("configmaps", namespace, volume["configMap"]["name"])
                files = {name: base64.b64decode(data) for name, data in (stored.get("binaryData") or {}).items()}
            found[str(volume["name"])] = files
        return found

    def _insecure(self, namespace: str) -> str:
        """What Pod Security would say: our pods need the level `privileged`, here the default is `baseline`."""
        labels = self.store.get("namespaces", None, namespace)["metadata"].get("labels") or {}
        if labels.get("pod-security.kubernetes.io/enforce") == "privileged":
            return ""
        return 'pods are forbidden: violates PodSecurity "baseline:latest": non-default capabilities'

    def _event(self, namespace: str, about: str, reason: str, message: str) -> None:
        name = f"{about}.{secrets.token_hex(4)}"
        self.store.put(
            "events",
            {
                "metadata": {"name": name, "namespace": namespace},
                "type": "Warning",
                "reason": reason,
                "message": message,
                "involvedObject": {"kind": "Pod", "name": about, "namespace": namespace},
            },
        )

    def _end(self, gone: Object) -> None:
        name = gone["metadata"]["name"]
        gone["metadata"]["deletionTimestamp"] = "2026-11-22T13:00:00Z"
        gone["status"] = {"phase": "Terminating"}
        stays = next((mishap.namespace_stays for mishap in self.mishaps if mishap.namespace_stays), "")
        if stays:
            gone["status"]["conditions"] = [
                {
                    "type": "NamespaceFinalizersRemaining",
                    "status": "True",
                    "reason": "SomeFinalizersRemain",
                    "message": stays,
                }
            ]
        with self._lock:
            self.store.put("namespaces", gone)
            pods = self.store.select("pods", name)
        for pod in pods:
            self.backend.stop(pod)
        self.store.empty(name)
        if not stays:
            time.sleep(0.02)
            self.store.remove("namespaces", None, name)


def _affinity(node: str) -> Object:
    """What the controller of DaemonSets makes of a pod's affinity: the one node that it is for."""
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
