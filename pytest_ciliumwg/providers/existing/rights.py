"""What a run may ask of a cluster's API, as Kubernetes grants it. No I/O.

`deploy/` and `--ciliumwg-plan` are made from this table, and a test holds it against all that is really asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Scope = Literal["cluster", "runs", "cilium", "own"]
"""Everywhere; in the namespaces of runs, whose names nobody knows before, so that it has to be granted everywhere; in
the namespace of Cilium's agents; in that of the CronJob."""
_CORE, _EXTENDED, _CHANGES = "core", "extended", "disruptive"
PUBLISHING = "publish"
"""As a profile: what `--ciliumwg-publish` needs."""


_WHERE: Mapping[Scope, str] = {
    "cluster": "",
    "runs": " in its own namespace",
    "cilium": " in Cilium's namespace",
    "own": " in the CronJob's namespace",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Verbs on one resource, and what for."""

    group: str
    """The API group; empty for the core group."""
    resource: str
    verbs: tuple[str, ...]
    scope: Scope
    why: str
    profile: str = _CORE

    @property
    def rule(self) -> dict[str, Any]:
        """As a rule of a Role."""
        return {"apiGroups": [self.group], "resources": [self.resource], "verbs": list(self.verbs)}

    def __str__(self) -> str:
        of = f".{self.group}" if self.group else ""
        where = _WHERE[self.scope]
        return f"{', '.join(self.verbs)} {self.resource}{of}{where}: {self.why}"


EXEC = ("create", "get")
"""A WebSocket that executes is a GET; from Kubernetes 1.35 on the right to create is asked for as well."""
RIGHTS = (
    Right(group="", resource="nodes", verbs=("list",), scope="cluster", why="which nodes there are, and are ready"),
    Right(group="", resource="pods", verbs=("list",), scope="cluster", why="where Cilium's agents and other pods are"),
    Right(
        group="cilium.io",
        resource="ciliumnodes",
        verbs=("list",),
        scope="cluster",
        why="the nodes' addresses and published WireGuard keys",
    ),
    Right(group="cilium.io", resource="ciliumendpoints", verbs=("list",), scope="cluster", why="the pods' addresses"),
    Right(
        group="",
        resource="namespaces",
        verbs=("create", "delete", "get", "list"),
        scope="cluster",
        why="one namespace for all that a run makes; what earlier runs left",
    ),
    Right(group="", resource="serviceaccounts", verbs=("create",), scope="runs", why="agents have one without rights"),
    Right(group="", resource="configmaps", verbs=("create",), scope="runs", why="the agent's code"),
    Right(group="apps", resource="daemonsets", verbs=("create",), scope="runs", why="agents and test pods"),
    Right(group="", resource="services", verbs=("create",), scope="runs", why="test traffic to Services"),
    Right(
        group="discovery.k8s.io", resource="endpointslices", verbs=("create",), scope="runs", why="the Services' pods"
    ),
    Right(
        group="networking.k8s.io",
        resource="networkpolicies",
        verbs=("create",),
        scope="runs",
        why="one policy that lets test traffic pass; a run that may not goes on without",
    ),
    Right(
        group="",
        resource="services",
        verbs=("list",),
        scope="cluster",
        why="where the cluster's DNS is; a run that may not does not test it",
        profile=_EXTENDED,
    ),
    Right(
        group="discovery.k8s.io",
        resource="endpointslices",
        verbs=("list",),
        scope="cluster",
        why="on which nodes the pods of DNS are",
        profile=_EXTENDED,
    ),
    Right(group="", resource="events", verbs=("list",), scope="runs", why="why a pod does not start"),
    Right(group="", resource="pods/exec", verbs=EXEC, scope="runs", why="speaking with our agents"),
    Right(group="", resource="configmaps", verbs=("get",), scope="cilium", why="Cilium's configuration"),
    Right(group="", resource="pods/exec", verbs=EXEC, scope="cilium", why="looking at nodes from Cilium's agents"),
    Right(
        group="",
        resource="pods",
        verbs=("create", "delete", "get"),
        scope="runs",
        why="pods that come and go while the watch goes on",
        profile=_CHANGES,
    ),
    Right(group="", resource="pods", verbs=("delete",), scope="cilium", why="restarting agents", profile=_CHANGES),
    Right(
        group="apps", resource="daemonsets", verbs=("get",), scope="cilium", why="how agents roll out", profile=_CHANGES
    ),
    Right(
        group="",
        resource="secrets",
        verbs=("list",),
        scope="cilium",
        why="Helm's revision, by metadata alone; without it the DaemonSet's generation is taken",
        profile=_CHANGES,
    ),
    Right(
        group="cilium.io", resource="ciliumnodes", verbs=("get",), scope="cluster", why="a new key", profile=_CHANGES
    ),
    Right(group="batch", resource="cronjobs", verbs=("get",), scope="own", why="whose Event it is", profile=PUBLISHING),
    Right(group="", resource="events", verbs=("create",), scope="own", why="the verdict", profile=PUBLISHING),
    Right(
        group="openreports.io",
        resource="reports",
        verbs=("create", "patch"),
        scope="own",
        why="the verdict, where there is OpenReports",
        profile=PUBLISHING,
    ),
    Right(
        group="wgpolicyk8s.io",
        resource="policyreports",
        verbs=("create", "patch"),
        scope="own",
        why="the verdict, where there are PolicyReports",
        profile=PUBLISHING,
    ),
)


def rights(*profiles: str) -> tuple[Right, ...]:
    """All that runs with these profiles need; that of core is always among it."""
    return tuple(right for right in RIGHTS if right.profile in (_CORE, *profiles))


def roles(wanted: Iterable[Right], name: str, cilium_namespace: str, own_namespace: str) -> Iterator[dict[str, Any]]:
    """A ClusterRole for what holds everywhere, and Roles for the namespaces of Cilium's agents and of the CronJob."""
    wanted = list(wanted)
    everywhere = [right for right in wanted if right.scope in ("cluster", "runs")]
    if everywhere:
        yield _role("ClusterRole", {"name": name}, everywhere)
    for scope, namespace in (("cilium", cilium_namespace), ("own", own_namespace)):
        if there := [right for right in wanted if right.scope == scope]:
            yield _role("Role", {"name": name, "namespace": namespace}, there)


def _role(kind: str, metadata: Mapping[str, str], granted: Iterable[Right]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": dict(metadata),
        "rules": [right.rule for right in granted],
    }
