"""The objects of the API, and the refusals that do not depend on what an object is."""

from __future__ import annotations

import itertools
import marshal
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]
Key = tuple[str | None, str]

KINDS = {
    "nodes": "Node",
    "namespaces": "Namespace",
    "pods": "Pod",
    "configmaps": "ConfigMap",
    "secrets": "Secret",
    "serviceaccounts": "ServiceAccount",
    "events": "Event",
    "services": "Service",
    "endpointslices": "EndpointSlice",
    "daemonsets": "DaemonSet",
    "cronjobs": "CronJob",
    "reports": "Report",
    "policyreports": "PolicyReport",
    "networkpolicies": "NetworkPolicy",
    "ciliumnetworkpolicies": "CiliumNetworkPolicy",
    "ciliumclusterwidenetworkpolicies": "CiliumClusterwideNetworkPolicy",
    "ciliumnodes": "CiliumNode",
    "ciliumendpoints": "CiliumEndpoint",
    "ciliumendpointslices": "CiliumEndpointSlice",
    "ciliumnodeconfigs": "CiliumNodeConfig",
}


def copied(value: Object) -> Object:
    """A copy of what JSON can say, in a fiftieth of the time of `copy.deepcopy`."""
    made: Object = marshal.loads(marshal.dumps(value))  # noqa: S302 - what was dumped just now
    return made


class Refusal(Exception):  # noqa: N818 - an answer of the server, no error of ours
    """An answer that is a Status object."""

    def __init__(self, code: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.headers = dict(headers or {})
        self.body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }


class Store:
    """All objects; may be used by several threads."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Object]] = defaultdict(dict)
        """Resource → namespace and name → object."""
        self._lock = threading.RLock()
        self._version = itertools.count(100)

    def put(self, resource: str, value: Mapping[str, Any]) -> None:
        """Set an object, as a controller does."""
        made = copied(dict(value))
        metadata = made["metadata"]
        with self._lock:
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", "2026-11-22T12:00:00Z")
            metadata["resourceVersion"] = str(next(self._version))
            self._objects[resource][metadata.get("namespace"), metadata["name"]] = made

    def create(self, resource: str, namespace: str | None, value: Mapping[str, Any]) -> Object:
        """Create an object, as a client does."""
        made = copied(dict(value))
        name = made["metadata"]["name"]
        with self._lock:
            if namespace is not None:
                self._check_namespace(namespace)
                made["metadata"]["namespace"] = namespace
            if (namespace, name) in self._objects[resource]:
                raise Refusal(409, "AlreadyExists", f'{resource} "{name}" already exists')
            self.put(resource, made)
            return self.get(resource, namespace, name)

    def _check_namespace(self, namespace: str) -> None:
        found = self.get("namespaces", None, namespace)
        if found["metadata"].get("deletionTimestamp"):
            raise Refusal(403, "Forbidden", f"unable to create new content in namespace {namespace}: it is terminated")

    def get(self, resource: str, namespace: str | None, name: str) -> Object:
        """A copy of one object."""
        with self._lock:
            found = self._objects[resource].get((namespace, name))
            if found is None:
                raise Refusal(404, "NotFound", f'{resource} "{name}" not found')
            return copied(found)

    def select(
        self,
        resource: str,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        node: str | None = None,
    ) -> list[Object]:
        """Copies of all objects of a resource, with these labels, on a node if one is named."""
        with self._lock:
            return [
                copied(value)
                for (where, _), value in self._objects[resource].items()
                if namespace in (None, where)
                and (node is None or value["spec"].get("nodeName") == node)
                and _matches(value, labels or {})
            ]

    def merge(self, resource: str, namespace: str | None, name: str, change: Object) -> Object:
        """Change an object by a merge patch (RFC 7386), as a client does."""
        with self._lock:
            before = self.get(resource, namespace, name)
            after = _merged(before, change)
            if before.get("spec") != after.get("spec"):
                after["metadata"]["generation"] = before["metadata"].get("generation", 1) + 1
            self.put(resource, after)
            return self.get(resource, namespace, name)

    def remove(self, resource: str, namespace: str | None, name: str) -> None:
        """Take an object away, if it is there."""
        with self._lock:
            self._objects[resource].pop((namespace, name), None)

    def empty(self, namespace: str) -> None:
        """Take all objects of a namespace away."""
        with self._lock:
            for objects in self._objects.values():
                for key in [key for key in objects if key[0] == namespace]:
                    del objects[key]

    def names(self, resource: str) -> list[str]:
        """The names of all objects of a resource."""
        with self._lock:
            return [name for _, name in self._objects[resource]]


def _merged(value: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    whole = dict(value) if isinstance(value, dict) else {}
    for name, part in change.items():
        if part is None:
            whole.pop(name, None)
        else:
            whole[name] = _merged(whole.get(name), part)
    return whole


def _matches(value: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    own = value["metadata"].get("labels") or {}
    return all(own.get(name) == wanted for name, wanted in labels.items())


def as_list(resource: str, items: Iterable[Object], following: str = "", *, metadata_only: bool = False) -> Object:
    """A list object; its items have no kind of their own, as in real answers."""
    bare = [{key: part for key, part in item.items() if key not in {"kind", "apiVersion"}} for item in items]
    if metadata_only:
        bare = [{"metadata": item["metadata"]} for item in bare]
    metadata = {"resourceVersion": "1", **({"continue": following} if following else {})}
    return {"kind": f"{KINDS[resource]}List", "apiVersion": "v1", "metadata": metadata, "items": bare}
