"""The resources of the API that this package uses: where they are, and what messages call them. No I/O."""

from __future__ import annotations

PATHS = {
    "nodes": "/api/v1",
    "namespaces": "/api/v1",
    "pods": "/api/v1",
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "serviceaccounts": "/api/v1",
    "events": "/api/v1",
    "services": "/api/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "daemonsets": "/apis/apps/v1",
    "cronjobs": "/apis/batch/v1",
    "reports": "/apis/openreports.io/v1alpha1",
    "policyreports": "/apis/wgpolicyk8s.io/v1alpha2",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "ciliumnetworkpolicies": "/apis/cilium.io/v2",
    "ciliumclusterwidenetworkpolicies": "/apis/cilium.io/v2",
    "ciliumnodes": "/apis/cilium.io/v2",
    "ciliumendpoints": "/apis/cilium.io/v2",
    "ciliumendpointslices": "/apis/cilium.io/v2alpha1",
}
"""Where the API keeps each resource."""


_KINDS = {
    "ciliumnodes": "CiliumNode",
    "daemonsets": "DaemonSet",
    "cronjobs": "CronJob",
    "events": "Event",
    "reports": "Report",
    "policyreports": "PolicyReport",
    "configmaps": "ConfigMap",
    "endpointslices": "EndpointSlice",
    "services": "Service",
    "networkpolicies": "NetworkPolicy",
    "ciliumnetworkpolicies": "CiliumNetworkPolicy",
    "ciliumclusterwidenetworkpolicies": "CiliumClusterwideNetworkPolicy",
}


def path_of(resource: str, namespace: str | None = None, name: str | None = None) -> str:
    """The path of a resource, of all its objects or one."""
    inner = f"/namespaces/{namespace}" if namespace else ""
    return f"{PATHS[resource]}{inner}/{resource}" + (f"/{name}" if name else "")


def in_words(resource: str, name: str, namespace: str | None) -> str:
    """One object, as messages call it."""
    kind = _KINDS.get(resource, resource.removesuffix("s"))
    return f"{kind} {name}" + (f" in namespace {namespace}" if namespace else "")
