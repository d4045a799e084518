"""What a lab is asked to be, and the plan of names and addresses that follows from it. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import Expectations, contradictions, expectations_for
from pytest_ciliumwg.expect.facts import fact, known_version
from pytest_ciliumwg.model.cluster import (
    OPT_OUT_LABELS,
    CiliumConfig,
    IPAddress,
    IPFamily,
    IPNetwork,
    Pod,
    RoutingMode,
)

DUAL = frozenset(IPFamily)
FEWEST_NODES, MOST_NODES = 2, 100
DEVICES = ("eth0", "eth1")
TEST_NAMESPACE = "ciliumwg-test"
POD_SLOTS = 64
"""How many pods a node can have."""
TEST_SLOT, IDLE_SLOT = 0, 1
HEALTH_SLOT, DNS_SLOT = POD_SLOTS - 2, POD_SLOTS - 1
FIRST_POD = 10
"""The place in a pod network of its first pod's address."""
POD_NETWORK = IPv4Network("10.244.0.0/16")
"""Of all nodes together."""
DNS_POD = "coredns"
OUTSIDE_INDEX = 200
"""The place on the wire of the machine outside of the cluster."""
UNDERLAY = "underlay"
"""The network namespace that holds the bridges between the nodes: the wire."""


WireGuard = Literal["kernel", "userspace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """What the lab shall imitate."""

    cilium_version: str
    """The Cilium version whose datapath facts the lab imitates."""
    nodes: int = 3
    families: frozenset[IPFamily] = DUAL
    devices: tuple[str, ...] = ("eth0",)
    """The native devices of every node."""
    mtu: int = 1500
    """The MTU of the native devices."""
    ip_underlay: bool = False
    """Whether the nodes' network carries IP packets without Ethernet headers, as Tailscale's does."""
    routing_mode: RoutingMode = "native"
    """`vxlan` or `geneve` for a tunnel."""
    wireguard: WireGuard | None = None
    """Whose WireGuard; None: the kernel's where it has one, else wireguard-go."""
    node_encryption: bool = False
    node_encryption_opt_out: tuple[str, ...] = OPT_OUT_LABELS
    strict_egress: bool = False
    """Drop what would leave for pods in cleartext, as Cilium's strict mode does."""
    fallback: bool = False
    """Imitate Cilium's userspace fallback: the WireGuard device dies with the agent. Cilium 1.11 to 1.16 alone."""
    extended: bool = False
    """Whether there are also health endpoints, DNS, NodePorts and hostPorts, and a client outside of the cluster."""

    def check(self) -> None:
        """Refuse what no lab can be.

        Raises:
            ProviderError: a value is out of its range.
        """
        if not FEWEST_NODES <= self.nodes <= MOST_NODES:
            raise ProviderError(f"a lab has {FEWEST_NODES} to {MOST_NODES} nodes, not {self.nodes}")
        if not self.families:
            raise ProviderError("a lab needs at least one IP family: v4, v6 or dual")
        if self.devices not in (DEVICES[:1], DEVICES):
            raise ProviderError(f"a lab's native devices are eth0, or eth0 and eth1, not {', '.join(self.devices)}")
        if not 1500 <= self.mtu <= 9000:
            raise ProviderError(f"the MTU of a lab's native devices is 1500 to 9000, not {self.mtu}")
        if self.ip_underlay and len(self.devices) > 1:
            raise ProviderError("a lab whose nodes' network has no Ethernet headers has one native device")
        if self.routing_mode != "native" and IPFamily.V4 not in self.families:
            raise ProviderError("the lab's tunnel runs over IPv4; choose --ciliumwg-ip-family=v4 or dual")
        if self.extended and self.ip_underlay:
            raise ProviderError("the lab has what the profile extended needs between nodes with Ethernet alone")
        if self.node_encryption and self.tunnel:
            raise ProviderError("the lab has node encryption with --ciliumwg-routing=native alone")
        if self.strict_egress and (self.tunnel or IPFamily.V4 not in self.families):
            raise ProviderError("the lab has the strict mode with --ciliumwg-routing=native and IPv4 alone")

    def config(self, *, userspace: bool) -> CiliumConfig:
        """The configuration of the Cilium that the lab imitates."""
        return CiliumConfig(
            version=self.cilium_version,
            encryption=True,
            families=self.families,
            routing_mode=self.routing_mode,
            node_encryption=self.node_encryption,
            node_encryption_opt_out=self.node_encryption_opt_out,
            userspace_fallback=userspace or self.fallback,
            strict_egress=self.strict_egress,
            kube_proxy_replacement=self.kube_proxy_replacement,
        )

    @property
    def kube_proxy_replacement(self) -> bool:
        """Whether pods' sockets are translated, as is usual with the versions that redirect; else nodes do it all."""
        return self.extended and fact("steering", known_version(self.cilium_version)) == "redirect"

    def expectations(self) -> Expectations:
        """What the imitated Cilium does, whichever WireGuard it has.

        Raises:
            ProviderError: there is no such Cilium.
        """
        try:
            config = self.config(userspace=False)
            if refused := contradictions(config):
                raise ProviderError(f"the lab cannot imitate this: {'; '.join(refused)}")
            expected = expectations_for(config)
        except ValueError as error:
            raise ProviderError(str(error)) from None
        if self.tunnel and expected.steering == "redirect" and not expected.overlay_in_wireguard:
            raise ProviderError(f"the lab cannot imitate the tunnel of Cilium {self.cilium_version}, only from 1.15 on")
        return expected

    @property
    def tunnel(self) -> bool:
        """Whether packets to pods on other nodes go through a tunnel."""
        return self.routing_mode != "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPod:
    """A pod, which is a network namespace with the pod's name."""

    pod: Pod
    number: int
    """Its place among all pods that the lab can have; with it go its addresses, and so it is used again like them."""
    host_device: str
    """The node's end of the veth pair."""
    mac: str
    host_mac: str

    @property
    def netns(self) -> str:
        """The pod's network namespace."""
        return self.pod.name


@dataclass(frozen=True, slots=True, kw_only=True)
class LabNode:
    """A node, which is a network namespace with the node's name."""

    name: str
    index: int
    underlay: tuple[tuple[str, tuple[IPAddress, ...]], ...]
    """Each native device with its addresses."""
    pod_cidrs: tuple[IPNetwork, ...]
    cilium_addresses: tuple[IPAddress, ...]
    """CiliumInternalIP: the addresses of `cilium_host`."""
    test_pod: LabPod
    idle_pod: LabPod
    pods: tuple[LabPod, ...]
    """The pods that it has now, the test pod first."""
    health: LabPod | None = None
    """Cilium's health endpoint, which is a pod of nobody."""
    dns: LabPod | None = None
    """The pod of the cluster's DNS."""
    opted_out: bool = False
    """Whether it opted out of node encryption."""

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """The InternalIPs, which are those of the first native device."""
        return self.underlay[0][1]

    @property
    def endpoints(self) -> tuple[LabPod, ...]:
        """All that has addresses on the pods' network: its pods, and what the cluster's own services have here."""
        return (*self.pods, *(pod for pod in (self.health, self.dns) if pod is not None))

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the Kubernetes node."""
        role = {} if self.index else {OPT_OUT_LABELS[0]: ""}
        return {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"} | role

    @property
    def directory(self) -> str:
        """Where the node keeps its files in the sandbox."""
        return f"/run/ciliumwg/{self.name}"

    def device_address(self, device: str, family: IPFamily) -> IPAddress | None:
        """The node's address of a family on one native device."""
        return next((ip for ip in dict(self.underlay)[device] if IPFamily.of(ip) is family), None)

    def pod_cidr(self, family: IPFamily) -> IPNetwork:
        """The node's pod network of a family that the lab has."""
        return next(network for network in self.pod_cidrs if IPFamily.of(network) is family)

    def cilium_address(self, family: IPFamily) -> IPAddress:
        """The address of `cilium_host` of a family that the lab has."""
        return next(ip for ip in self.cilium_addresses if IPFamily.of(ip) is family)

    def pod_addresses(self, family: IPFamily) -> Iterator[IPAddress]:
        """The addresses of the node's pods and other endpoints, of one family."""
        for lab_pod in self.endpoints:
            if address := lab_pod.pod.address(family):
                yield address


def node_name(index: int) -> str:
    """A node's name, as kind numbers nodes in a cluster called `lab`."""
    return ("lab-control-plane", "lab-worker")[index] if index < 2 else f"lab-worker{index}"


def plan_nodes(spec: LabSpec) -> tuple[LabNode, ...]:
    """Names and addresses of all nodes and pods."""
    expected = expectations_for(spec.config(userspace=False))
    nodes = (_plan_node(spec, index) for index in range(spec.nodes))
    return tuple(replace(node, opted_out=spec.node_encryption and expected.may_opt_out(node.labels)) for node in nodes)


def _plan_node(spec: LabSpec, index: int) -> LabNode:
    name, dns_at = node_name(index), spec.nodes - 1
    cidrs = _pod_networks(index)
    pods = (
        plan_pod(spec, index, f"test-{name}", TEST_NAMESPACE, TEST_SLOT),
        plan_pod(spec, index, f"idle-{name}", "default", IDLE_SLOT),
    )
    return LabNode(
        name=name,
        index=index,
        underlay=tuple((device, _underlay(spec, number, index)) for number, device in enumerate(spec.devices)),
        pod_cidrs=tuple(cidr for cidr in cidrs if IPFamily.of(cidr) in spec.families),
        cilium_addresses=_hosts(spec, cidrs, 1),
        test_pod=pods[0],
        idle_pod=pods[1],
        pods=pods,
        health=plan_pod(spec, index, f"health-{name}", "", HEALTH_SLOT) if spec.extended else None,
        dns=plan_pod(spec, index, DNS_POD, "kube-system", DNS_SLOT) if spec.extended and index == dns_at else None,
    )


def plan_pod(spec: LabSpec, index: int, name: str, namespace: str, slot: int) -> LabPod:
    """The pod in one of the slots of the node with this index; the slot is what its addresses follow from."""
    addresses = _hosts(spec, _pod_networks(index), FIRST_POD + slot)
    return LabPod(
        pod=Pod(name=name, namespace=namespace, node=node_name(index), addresses=addresses),
        number=index * POD_SLOTS + slot,
        host_device=f"lxc{slot}",
        mac=f"02:00:00:{index:02x}:{slot:02x}:01",
        host_mac=f"02:00:00:{index:02x}:{slot:02x}:02",
    )


def free_slot(node: LabNode) -> int:
    """The lowest slot for one more pod, and so the lowest free address; the idle pod's waits for it.

    Raises:
        ProviderError: the node is full.
    """
    taken = {pod.number % POD_SLOTS for pod in node.pods}
    for slot in range(IDLE_SLOT + 1, POD_SLOTS):
        if slot not in taken:
            return slot
    raise ProviderError(f"{node.name} has no room for one more pod: a node of the lab has {POD_SLOTS} at most")


def _pod_networks(index: int) -> tuple[IPv4Network, IPv6Network]:
    return IPv4Network(f"10.244.{index}.0/24"), IPv6Network(f"fd00:10:244:{index:x}::/64")


def outside_addresses(spec: LabSpec) -> tuple[IPAddress, ...]:
    """The addresses of the machine outside of the cluster: behind those of all nodes that a lab can have."""
    return _underlay(spec, 0, OUTSIDE_INDEX)


def _underlay(spec: LabSpec, device: int, index: int) -> tuple[IPAddress, ...]:
    networks = (IPv4Network(f"172.{18 + device}.0.0/16"), IPv6Network(f"fd00:{18 + device}::/64"))
    return _hosts(spec, networks, index + 2)


def _hosts(spec: LabSpec, networks: tuple[IPv4Network, IPv6Network], number: int) -> tuple[IPAddress, ...]:
    """The `number`th address of each network whose family the lab has."""
    both: tuple[IPv4Address | IPv6Address, ...] = tuple(network[number] for network in networks)
    return tuple(ip for ip in both if IPFamily.of(ip) in spec.families)
