"""The cluster as its API shows it: nodes, pods and Cilium's configuration."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class IPFamily(enum.Enum):
    """An IP family; the value is how options and reports spell it."""

    V4 = "v4"
    V6 = "v6"

    @classmethod
    def of(cls, address: IPAddress | IPNetwork) -> IPFamily:
        """The family of an address or network."""
        return cls.V4 if address.version == 4 else cls.V6


def sorted_families(families: Iterable[IPFamily]) -> list[IPFamily]:
    """IPv4 first."""
    return sorted(families, key=lambda family: family.value)


def first_of(addresses: Iterable[IPAddress], family: IPFamily) -> IPAddress | None:
    """The first address of a family, None without one."""
    return next((ip for ip in addresses if IPFamily.of(ip) is family), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of the cluster, as Kubernetes and the CiliumNode object publish it."""

    name: str
    addresses: tuple[IPAddress, ...]
    """The node's InternalIPs, and of a family of which it has none its ExternalIPs: the ends of encrypted traffic."""
    public_key: str | None = None
    """The WireGuard public key that the CiliumNode annotation publishes (base64), None without one."""
    pod_cidrs: tuple[IPNetwork, ...] = ()
    """The networks from which the node's pods get their addresses (empty where the IPAM has none)."""
    cilium_addresses: tuple[IPAddress, ...] = ()
    """CiliumInternalIP, health endpoint and ingress addresses: allowed IPs that belong to no pod."""
    health_addresses: tuple[IPAddress, ...] = ()
    """Those of them that are the health endpoint's."""
    ingress_addresses: tuple[IPAddress, ...] = ()
    """Those of them with which Cilium's Ingress and Gateways send to pods; none where the cluster has neither."""
    external_addresses: tuple[IPAddress, ...] = ()
    """The node's ExternalIPs, which some clouds also put into the allowed IPs."""
    roamed_to: tuple[IPAddress, ...] = ()
    """Where WireGuard reaches it though it publishes none of these addresses: behind NAT, or roaming."""
    encryption_key: int | None = None
    """`spec.encryption.key`: 255 with WireGuard from 1.14, 0 where node encryption is opted out."""

    def address(self, family: IPFamily) -> IPAddress | None:
        """The node's first address of a family."""
        return first_of(self.addresses, family)

    def taken_addresses(self, families: Iterable[IPFamily]) -> tuple[IPAddress, ...]:
        """Of each family the one that Cilium takes for the node: the first InternalIP, else the first ExternalIP."""
        found = (first_of((*self.addresses, *self.external_addresses), family) for family in sorted_families(families))
        return tuple(address for address in found if address is not None)

    @property
    def tunnel_addresses(self) -> frozenset[IPAddress]:
        """The addresses at which the node's tunnel may end."""
        return frozenset((*self.addresses, *self.external_addresses, *self.roamed_to))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod that has addresses of its own (a host-network pod is its node, not a Pod here)."""

    name: str
    namespace: str
    node: str
    addresses: tuple[IPAddress, ...]

    @property
    def key(self) -> str:
        """`namespace/name`, the identity within a cluster."""
        return f"{self.namespace}/{self.name}"

    def address(self, family: IPFamily) -> IPAddress | None:
        """The pod's first address of a family."""
        return first_of(self.addresses, family)


def ingress_ends(nodes: Iterable[Node]) -> frozenset[Pod]:
    """What Ingress and Gateways send from on each node, as the pod that it is to others: `reserved:ingress`."""
    return frozenset(
        Pod(name="ingress", namespace="reserved", node=node.name, addresses=node.ingress_addresses)
        for node in nodes
        if node.ingress_addresses
    )


class LeftOut(enum.Enum):
    """Why a node of the cluster is not under test; the value is a clause on it, for people."""

    OTHER_SYSTEM = "it does not run Linux"
    VIRTUAL = "it is a virtual node"
    NOT_READY = "it is not Ready and has no CiliumNode"
    NO_PODS = "it is cordoned, has no CiliumNode, and no pods but those in its own network"
    NO_CILIUM = "it is Ready, may run pods and has no CiliumNode"
    SELECTOR = "it lacks the labels of --ciliumwg-node-selector"
    MOST_NODES = "there are more nodes than --ciliumwg-max-nodes"
    LATER = "it was not part of the cluster when the run began"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One node as Kubernetes knows it, whether it runs Cilium or not."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    left_out: LeftOut | None = None
    """None for a node under test."""
    unmanaged: tuple[Pod, ...] | None = None
    """Its pods with addresses of their own that Cilium does not know; None where nothing tells that."""


RoutingMode = Literal["native", "vxlan", "geneve"]
Balancing = Literal["dsr", "xdp", "hosts-only"]
"""Answers go directly to clients; forwarding by XDP; sockets of pods are not translated, those of nodes alone."""
OPT_OUT_LABELS = ("node-role.kubernetes.io/control-plane",)
"""The labels of nodes that opt out of node encryption where Cilium is not told others."""


def pods_on(node: str, pods: Iterable[Pod] | None) -> tuple[Pod, ...] | None:
    """Those of some pods that are on a node; None where none are told."""
    return None if pods is None else tuple(pod for pod in pods if pod.node == node)


def known_addresses(nodes: Iterable[Node], pods: Iterable[Pod]) -> frozenset[IPAddress]:
    """All addresses of nodes, of Cilium's own endpoints on them, and of pods."""
    of_nodes = ((*node.addresses, *node.cilium_addresses, *node.external_addresses) for node in nodes)
    return frozenset(ip for pod in pods for ip in pod.addresses).union(*of_nodes)


def pool_addresses(nodes: Iterable[Node]) -> frozenset[IPAddress]:
    """The single addresses among nodes' pod CIDRs: the pools of some clouds are filled address by address."""
    return frozenset(cidr.network_address for node in nodes for cidr in node.pod_cidrs if cidr.num_addresses == 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CiliumConfig:
    """What a cluster's Cilium is configured to do, declared or actual; both are written in this form."""

    version: str
    """Cilium's version as it reports it, such as `1.15.0-pre.3`, or `1.13` for its newest patch."""
    encryption: bool
    """Whether WireGuard encryption is enabled."""
    families: frozenset[IPFamily]
    routing_mode: RoutingMode = "native"
    node_encryption: bool = False
    node_encryption_opt_out: tuple[str, ...] = OPT_OUT_LABELS
    """Labels, as `LABEL` or `LABEL=VALUE`: nodes that have all of them may opt out. Empty: none may."""
    userspace_fallback: bool = False
    """Whether WireGuard may run in user space, which makes `cilium_wg0` a tun device."""
    strict_egress: bool = False
    """Whether Cilium drops what pods would send to other pods in cleartext (IPv4 alone)."""
    strict_ingress: bool = False
    """Whether Cilium drops what comes for pods from other nodes and was not encrypted."""
    kube_proxy_replacement: bool = False
    load_balancing: frozenset[Balancing] = frozenset()
    """What is special of how Cilium leads traffic to Services."""
    cluster_id: int = 0
    """The number of its cluster in a mesh of clusters; 0 where it is in none."""
    mtu: int = 0
    """The MTU of the network that Cilium is told, from which it makes all others; 0 where it finds one out."""
    route_mtu: int = 0
    """The MTU of the routes in pods that it is told; 0 where it makes one."""
