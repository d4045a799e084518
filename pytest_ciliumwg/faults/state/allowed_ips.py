"""Faults of a peer's allowed IPs: what may be sent to it, and what it may send."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.faults.catalogue import BOTH, fault
from pytest_ciliumwg.faults.state.peers import DEAD_POD
from pytest_ciliumwg.faults.tools.consequences import LOST
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, IPNetwork
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.wireguard import allowed_ips

REBUILT = "cilium/cilium issues 31979 and 33159: allowed IPs are rebuilt at an agent restart, and not atomically"
Allowed = IPAddress | IPNetwork


def _needs_node_addresses(expected: Expectations) -> bool:
    return expected.node_addresses() == "required"


def _forbids_pod_cidrs(expected: Expectations) -> bool:
    return not expected.pod_cidrs_in_allowed_ips


def _forbids_node_addresses(expected: Expectations) -> bool:
    return expected.node_addresses() == "forbidden"


def set_allowed(lab: Lab, node: LabNode, peer: LabNode, ips: Iterable[Allowed]) -> None:
    """Set what a node accepts from a peer."""
    lab.run_in(node, f"wg set {lab.device} peer {lab.keys[peer.name]} allowed-ips '{','.join(map(str, ips))}'")


def healthy(lab: Lab, peer: LabNode) -> list[Allowed]:
    """The single addresses that a node accepts from a peer when nothing is wrong."""
    return list(allowed_ips(peer, lab.expected))


def _without_test_pod(lab: Lab, node: LabNode, *, families: frozenset[IPFamily]) -> None:
    peer = lab.next_to(node)
    lost = {ip for ip in peer.test_pod.pod.addresses if IPFamily.of(ip) in families}
    set_allowed(lab, node, peer, [ip for ip in healthy(lab, peer) if ip not in lost])


@fault(
    "allowed-ip-missing",
    description="the next node's test pod is missing from its peer's allowed IPs",
    shows="packets to and from that pod are dropped between the two nodes; the pod in no peer's allowed IPs",
    source=REBUILT,
    catcher="allowed-ips.pods",
    also=LOST,
    names="pair",
)
def allowed_ip_missing(lab: Lab, node: LabNode) -> None:
    """Set the peer's allowed IPs without the pod's."""
    _without_test_pod(lab, node, families=frozenset(IPFamily))


for _family in IPFamily:
    fault(
        f"allowed-ip-missing-{_family.value}",
        description=f"the next node's test pod lacks its IP{_family.value} address among its peer's allowed IPs",
        shows=f"IP{_family.value} packets to and from that pod are dropped, the other family's get through",
        source=REBUILT,
        catcher="allowed-ips.pods",
        also=LOST,
        names="pair",
        families=[_family],
    )(partial(_without_test_pod, families=frozenset({_family})))


@fault(
    "allowed-ips-cleared",
    description="the next node's peer has no allowed IPs at all",
    shows="the peer is there, its handshake may be, and nothing is sent to it",
    source="seen live: allowed IPs cleared on Cilium 1.13 and 1.15, 75 of 100 pings lost and none in cleartext",
    catcher="allowed-ips.pods",
    also=(*LOST, "allowed-ips.nodes"),
    names="pair",
)
def allowed_ips_cleared(lab: Lab, node: LabNode) -> None:
    """Set an empty list."""
    set_allowed(lab, node, lab.next_to(node), [])


@fault(
    "allowed-ips-swapped",
    description="the test pods of the two other nodes are swapped between their peers",
    shows="each pod's address among the allowed IPs of the wrong node, which could read what is sent to it",
    source=f"{REBUILT}; a pod address that was given to another node and learned too late",
    catcher="allowed-ips.foreign",
    also=(*LOST, "allowed-ips.pods"),
    leaks=BOTH,  # the wrong node decrypts it, and passes it on to the right one in cleartext
)
def allowed_ips_swapped(lab: Lab, node: LabNode) -> None:
    """Exchange them between the next node and the one after it."""
    one = lab.next_to(node)
    other = lab.next_to(one)
    pods = {peer.name: set(peer.test_pod.pod.addresses) for peer in (one, other)}
    for peer, twin in ((one, other), (other, one)):
        own = [ip for ip in healthy(lab, peer) if ip not in pods[peer.name]]
        set_allowed(lab, node, peer, [*own, *pods[twin.name]])


@fault(
    "allowed-ips-cidr",
    description="the next node's peer has its node's whole pod networks as allowed IPs",
    shows="/24 and /64 among the allowed IPs: a pod that has moved away is still encrypted to its old node",
    source="a development version before Cilium 1.10 did so; AllowedIPs written by hand",
    catcher="allowed-ips.foreign",
    also=["allowed-ips.known"],
    names="pair",
    needs=_forbids_pod_cidrs,
)
def allowed_ips_cidr(lab: Lab, node: LabNode) -> None:
    """Set the networks in place of the addresses."""
    peer = lab.next_to(node)
    kept = [ip for ip in healthy(lab, peer) if ip in peer.addresses]
    set_allowed(lab, node, peer, [*peer.pod_cidrs, *kept])


@fault(
    "allowed-ips-supernet",
    description="the next node's peer has the networks of all pods as allowed IPs, its own node's among them",
    shows="10.244.0.0/16 among the allowed IPs: what no other peer claims is encrypted to this one, which can read it",
    source="AllowedIPs written by hand; a pod CIDR of another mask than the node's",
    catcher="allowed-ips.foreign",
    also=["allowed-ips.disjoint", "allowed-ips.not-own"],
    names="pair",
)
def allowed_ips_supernet(lab: Lab, node: LabNode) -> None:
    """Add networks around those of all nodes."""
    peer = lab.next_to(node)
    around = [network.supernet(new_prefix=network.prefixlen - 8) for network in peer.pod_cidrs]
    set_allowed(lab, node, peer, [*healthy(lab, peer), *around])


@fault(
    "allowed-ips-overlap",
    description="the node after the next one may use the next node's pod networks as well",
    shows="a network of one peer around single addresses of another",
    source="wg(8): the most specific allowed IP wins, so all seems well until one of them goes missing",
    catcher="allowed-ips.disjoint",
    also=["allowed-ips.foreign"],
)
def allowed_ips_overlap(lab: Lab, node: LabNode) -> None:
    """Add the networks to the third node's."""
    peer = lab.next_to(node)
    third = lab.next_to(peer)
    set_allowed(lab, node, third, [*healthy(lab, third), *peer.pod_cidrs])


@fault(
    "allowed-ip-stale",
    description="the next node's peer has the address of a pod that is gone",
    shows="an allowed IP that no pod or node has; its next owner, on another node, will not be reached",
    source="cilium/cilium issue 33159; an ipcache entry whose deletion was missed",
    catcher="allowed-ips.known",
    names="pair",
)
def allowed_ip_stale(lab: Lab, node: LabNode) -> None:
    """Add an address of the pod network that nobody has."""
    peer = lab.next_to(node)
    set_allowed(lab, node, peer, [*healthy(lab, peer), *(network[DEAD_POD] for network in peer.pod_cidrs)])


@fault(
    "allowed-ip-own",
    description="the next node may send with the address of one of this node's own pods",
    shows="an address of the own node among a peer's allowed IPs",
    source="pkg/wireguard/agent/agent.go takes remote ipcache entries alone; a pod that was rescheduled to this node",
    catcher="allowed-ips.not-own",
    also=["allowed-ips.foreign"],
    names="pair",
)
def allowed_ip_own(lab: Lab, node: LabNode) -> None:
    """Add the node's idle pod to the peer."""
    peer = lab.next_to(node)
    set_allowed(lab, node, peer, [*healthy(lab, peer), *node.idle_pod.pod.addresses])


@fault(
    "node-address-missing",
    description="the next node's own addresses are missing from its peer's allowed IPs",
    shows="packets of the node itself (L7 and DNS proxies, ingress) are dropped by WireGuard",
    source="cilium/cilium issue 35644 (1.16.3): after a node's restart; CVE-2024-28250 is what their absence caused",
    catcher="allowed-ips.nodes",
    names="pair",
    needs=_needs_node_addresses,
)
def node_address_missing(lab: Lab, node: LabNode) -> None:
    """Set the peer's allowed IPs without the node's."""
    peer = lab.next_to(node)
    set_allowed(lab, node, peer, [ip for ip in healthy(lab, peer) if ip not in peer.addresses])


@fault(
    "node-address-added",
    description="the next node's own addresses are among its peer's allowed IPs, where this version has none",
    shows="a node address among the allowed IPs: with a route into the tunnel its own packets would loop",
    source="pkg/wireguard/agent/agent.go to 1.13: node addresses never",
    catcher="allowed-ips.nodes",
    names="pair",
    needs=_forbids_node_addresses,
)
def node_address_added(lab: Lab, node: LabNode) -> None:
    """Add them."""
    peer = lab.next_to(node)
    set_allowed(lab, node, peer, [*healthy(lab, peer), *peer.addresses])
