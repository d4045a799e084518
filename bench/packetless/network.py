"""The nodes and pods of a cluster without packets, and which addresses are whose. No I/O."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network

from pytest_ciliumwg.model.cluster import CiliumConfig, IPAddress, IPFamily, Node, Pod

CONFIG = CiliumConfig(version="1.20.3", encryption=True, families=frozenset(IPFamily))
DEVICE = "eth0"
MTU = 1500
OTHER_PODS = 4
"""Pods of others on each node."""
_NODES = (IPv4Network("172.18.0.0/16"), IPv6Network("fd00:18::/64"))
_PODS = (IPv4Network("10.128.0.0/9"), IPv6Network("fd00:10::/32"))
_FIRST_POD = 10


@dataclass(slots=True, eq=False)
class PlacedNode:
    """One node, with the pods that it has now."""

    index: int
    published: Node
    pods: list[Pod]
    test_pods: dict[str, Pod] = field(default_factory=dict)
    """Ours, by name."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.published.name

    def address(self, family: IPFamily) -> IPAddress:
        """Its own address of a family."""
        return self.published.addresses[family is IPFamily.V6]

    def pod_address(self, slot: int) -> tuple[IPAddress, IPAddress]:
        """The addresses of the pod in one of its slots, the first being that of our test pod."""
        four, six = self.published.pod_cidrs
        return four[_FIRST_POD + slot], six[_FIRST_POD + slot]

    def allowed_ips(self) -> list[str]:
        """What its peers may get from it: addresses of pods, Cilium and the node itself, and its pod networks."""
        addresses = [ip for pod in (*self.pods, *self.test_pods.values()) for ip in pod.addresses]
        addresses += [*self.published.cilium_addresses, *self.published.addresses]
        return [*(f"{ip}/{ip.max_prefixlen}" for ip in addresses), *map(str, self.published.pod_cidrs)]


class Network:
    """All nodes, found by name or by an address of theirs."""

    def __init__(self, count: int) -> None:
        self.nodes: Sequence[PlacedNode] = [_placed(index) for index in range(count)]
        self._services: dict[str, str] = {}

    @cached_property
    def by_name(self) -> dict[str, PlacedNode]:
        """Name → node."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def by_address(self) -> dict[str, PlacedNode]:
        """A node's own addresses, and that of its test pod → the node."""
        found = {str(ip): node for node in self.nodes for ip in node.published.addresses}
        return found | {str(ip): node for node in self.nodes for ip in node.pod_address(0)}

    @cached_property
    def node_addresses(self) -> frozenset[str]:
        """The addresses of the nodes' own networks."""
        return frozenset(str(ip) for node in self.nodes for ip in node.published.addresses)

    def lead(self, cluster_ip: str, address: str) -> None:
        """Let a Service's address stand for a pod's."""
        self._services[cluster_ip] = address

    def at(self, address: str) -> PlacedNode:
        """The node behind an address."""
        return self.by_address[self._services.get(address, address)]


def _placed(index: int) -> PlacedNode:
    name = f"node-{index:04d}"
    cidrs = (_subnet(_PODS[0], 24, index), _subnet(_PODS[1], 64, index))
    own: tuple[IPAddress, IPAddress] = (_NODES[0][index + 2], _NODES[1][index + 2])
    published = Node(
        name=name,
        addresses=own,
        public_key=base64.b64encode(hashlib.sha256(name.encode()).digest()).decode(),
        pod_cidrs=cidrs,
        cilium_addresses=(cidrs[0][1], cidrs[1][1]),
        encryption_key=255,
    )
    node = PlacedNode(index=index, published=published, pods=[])
    for slot in range(1, OTHER_PODS + 1):
        node.pods.append(
            Pod(name=f"other-{index}-{slot}", namespace="default", node=name, addresses=node.pod_address(slot))
        )
    return node


def _subnet(network: IPv4Network | IPv6Network, prefix: int, index: int) -> IPv4Network | IPv6Network:
    """One of the equal parts of a network."""
    size = network.max_prefixlen - prefix
    first = int(network.network_address) + (index << size)
    return type(network)((first, prefix))
