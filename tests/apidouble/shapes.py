"""API objects in the shape of the recorded ones."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from packaging.version import Version

from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Node, Pod

Object = dict[str, Any]
AGENT = "cilium-agent"


def node(name: str, addresses: Iterable[object], *, control_plane: bool, **labels: str) -> Object:
    """A Kubernetes node."""
    role = "node-role.kubernetes.io/control-plane"
    taints = [{"key": role, "effect": "NoSchedule"}] if control_plane else []
    found = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **({role: ""} if control_plane else {})}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": found | labels},
        "spec": {"taints": taints} if taints else {},
        "status": {
            "addresses": [
                *({"type": "InternalIP", "address": str(ip)} for ip in addresses),
                {"type": "Hostname", "address": name},
            ],
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True", "reason": "KubeletReady"},
            ],
        },
    }


def cilium_node(published: Node, version: str) -> Object:
    """A CiliumNode."""
    annotation = "network.cilium.io/wg-pub-key" if newer(version, "1.13") else "io.cilium.network.wg-pub-key"
    annotations = {annotation: published.public_key} if published.public_key else {}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNode",
        "metadata": {"name": published.name, "annotations": annotations},
        "spec": {
            "addresses": [
                *({"type": "InternalIP", "ip": str(ip)} for ip in published.addresses),
                *(
                    {"type": "CiliumInternalIP", "ip": str(ip)}
                    for ip in published.cilium_addresses
                    if ip not in published.health_addresses
                ),
            ],
            "encryption": {} if published.encryption_key is None else {"key": published.encryption_key},
            "health": {f"ip{IPFamily.of(ip).value}": str(ip) for ip in published.health_addresses},
            "ingress": {},
            "ipam": {"podCIDRs": [str(cidr) for cidr in published.pod_cidrs], "pools": {}},
        },
        "status": {"ipam": {"operator-status": {}}},
    }


def dns_service(cluster_ips: list[str]) -> Object:
    """The Service of the cluster's DNS."""
    ports = [{"name": f"dns{name[0].lower()}", "protocol": name, "port": 53} for name in ("UDP", "TCP")]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": cluster_ips[0], "clusterIPs": cluster_ips, "ports": ports},
    }


def dns_slice(address: str, node: str) -> Object:
    """The EndpointSlice of the DNS service for one address of its pod."""
    family = "IPv6" if ":" in address else "IPv4"
    labels = {"k8s-app": "kube-dns", "kubernetes.io/service-name": "kube-dns"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"kube-dns-{family.lower()}", "namespace": "kube-system", "labels": labels},
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "nodeName": node}],
        "ports": [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}],
    }


def cilium_endpoint(pod: Pod, node_address: object) -> Object:
    """A CiliumEndpoint."""
    pairs = {f"ip{IPFamily.of(ip).value}": str(ip) for ip in pod.addresses}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumEndpoint",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "status": {
            "encryption": {},
            "networking": {"addressing": [pairs], "node": str(node_address)},
            "state": "ready",
        },
    }


def cilium_config(config: CiliumConfig) -> Object:
    """The ConfigMap cilium-config, in the words of the configuration's version."""
    old = not newer(config.version, "1.14")
    tunnel = "disabled" if config.routing_mode == "native" else config.routing_mode
    routing = {"tunnel": tunnel} if old else {"routing-mode": "native" if tunnel == "disabled" else "tunnel"}
    if not old and tunnel != "disabled":
        routing["tunnel-protocol"] = tunnel
    replacement = config.kube_proxy_replacement
    data = {
        "enable-ipv4": _flag(IPFamily.V4 in config.families),
        "enable-ipv6": _flag(IPFamily.V6 in config.families),
        "kube-proxy-replacement": ("strict" if replacement else "disabled") if old else _flag(replacement),
        "cluster-name": "double",
        "ipam": "kubernetes",
        **routing,
    }
    if config.encryption:
        data["enable-wireguard"] = "true"
    if config.userspace_fallback:
        data["enable-wireguard-userspace-fallback"] = "true"
    if config.node_encryption:
        data["encrypt-node"] = "true"
    egress = "-egress" if newer(config.version, "1.19") else ""
    for direction, on in ((egress, config.strict_egress), ("-ingress", config.strict_ingress)):
        if on:
            data[f"enable-encryption-strict-mode{direction}"] = "true"
    metadata = {"name": "cilium-config", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def agent_pod(node_name: str, address: object, *, image: str = "", name: str = "") -> Object:
    """The pod of a Cilium agent that is well, and started just now."""
    container: Object = {"name": AGENT, **({"image": image} if image else {})}
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {"running": {"startedAt": started}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name or f"cilium-{node_name}",
            "namespace": "kube-system",
            "labels": {"k8s-app": "cilium"},
            "creationTimestamp": started,
            "ownerReferences": [{"kind": "DaemonSet", "name": "cilium"}],
        },
        "spec": {"nodeName": node_name, "hostNetwork": True, "containers": [container]},
        "status": {
            "phase": "Running",
            "podIP": str(address),
            "podIPs": [{"ip": str(address)}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": AGENT, "ready": True, "state": state, "containerID": f"containerd://{uuid.uuid4().hex}"}
            ],
        },
    }


def agent_image(version: str) -> str:
    """The image of an agent, as Helm's charts write it."""
    return f"registry.example/cilium/cilium:v{version}@sha256:{'0' * 64}"


def agent_daemon_set(version: str, nodes: int) -> Object:
    """Cilium's DaemonSet, installed by Helm."""
    labels = {"k8s-app": "cilium"}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": "cilium",
            "namespace": "kube-system",
            "generation": 1,
            "labels": {**labels, "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "cilium", "meta.helm.sh/release-namespace": "kube-system"},
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"hostNetwork": True, "containers": [{"name": AGENT, "image": agent_image(version)}]},
            },
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
        },
        "status": {"observedGeneration": 1, "desiredNumberScheduled": nodes, "updatedNumberScheduled": nodes},
    }


def newer(version: str, than: str) -> bool:
    """Whether a version is `than` or later."""
    return Version(version.split("-")[0]) >= Version(than)


def _flag(value: bool) -> str:
    return "true" if value else "false"
