"""Leaks that pass a router between the two nodes, known by headers alone: no frame of them runs from node to node."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ciliumwg.faults.catalogue import BOTH, fault
from pytest_ciliumwg.faults.tools.consequences import CLEAR
from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.faults.wire.bypass import bypass, pod_ends
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import UNDERLAY, LabNode

ROUTER = "router"
_ADDRESSES = {IPFamily.V4: "172.18.255.1/16", IPFamily.V6: "fd00:18::ffff/64"}
_ROUTED = "a routed network: frames have a router's address at one end, and are still the cluster's own"


def lead_over_router(lab: Lab, node: LabNode, peer: LabNode, ends: Sequence[tuple[IPAddress, IPAddress]]) -> None:
    """Put a router on the network of the first native device, and lead what is not encrypted over it."""
    first = lab.spec.devices[0]
    port = f"r-{first}"
    lab.sandbox.run(
        f"ip netns add {ROUTER}\n"
        f"ip link add {first} netns {ROUTER} type veth peer name {port} netns {UNDERLAY}\n"
        f"ip -n {UNDERLAY} link set {port} master br-{first} up"
    )
    own = [f"ip addr add {_ADDRESSES[family]} dev {first}{_nodad(family)}" for family in lab.families]
    ways = [f"ip route add {to} via {peer.device_address(first, IPFamily.of(to))}" for _, to in ends]
    forward = ["sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.all.forwarding=1 || :"]
    lab.sandbox.run("\n".join([*forward, *own, f"ip link set {first} up", *ways]), netns=ROUTER)
    routes = [f"ip route replace {to} via {_ADDRESSES[IPFamily.of(to)].partition('/')[0]}" for _, to in ends]
    lab.run_in(node, "\n".join(routes))


def _nodad(family: IPFamily) -> str:
    return " nodad" if family is IPFamily.V6 else ""


@fault(
    "leak-router",
    description="packets below 60 bytes from the node's test pod to the next node's leave in cleartext over a router",
    shows="short frames without a canary, to a router's Ethernet address on the one node and from it on the other",
    source=_ROUTED,
    catcher="size.no-cleartext[v4-udp]",
    also=CLEAR,
    leaks=BOTH,
    names="pair",
    families=[IPFamily.V4],
)
def leak_router(lab: Lab, node: LabNode) -> None:
    """Bypass the steering for short packets."""
    peer = lab.next_to(node)
    lead_over_router(lab, node, peer, pod_ends(lab, node.test_pod.pod, peer.test_pod.pod))
    bypass(lab, node, "meta length < 60")


@fault(
    "leak-other-pods-router",
    description="packets from another pod of the node to one of the next node's leave in cleartext over a router",
    shows="packets of other pods, to a router's Ethernet address on the one node and from it on the other",
    source=_ROUTED,
    catcher="wire.other-pods",
    leaks=(),
    names="pair",
)
def leak_other_pods_router(lab: Lab, node: LabNode) -> None:
    """Bypass the steering for the idle pods of the two nodes."""
    peer = lab.next_to(node)
    ends = pod_ends(lab, node.idle_pod.pod, peer.idle_pod.pod)
    lead_over_router(lab, node, peer, ends)
    bypass(lab, node, ends=ends)
    start_foreign_traffic(lab, node, peer)
