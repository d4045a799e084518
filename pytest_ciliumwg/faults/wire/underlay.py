"""Faults of the wire between the nodes, and of the routes that packets take over it."""

from __future__ import annotations

from pytest_ciliumwg.faults.catalogue import Doubt, fault
from pytest_ciliumwg.faults.tools.consequences import BLIND, BYPASSED, CLEAR, LOST
from pytest_ciliumwg.faults.wire.another_way import SIDE, side_link
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.fragments import TABLE as FRAGMENTS
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import DEVICES, UNDERLAY, LabNode
from pytest_ciliumwg.providers.lab.topology import port_of

SIDE_TABLE = 77


@fault(
    "blackhole",
    description="the wire drops all that the node sends to others and others send to it",
    shows="nothing arrives, encrypted or not; so nothing can be said about encryption",
    source="a firewall that blocks UDP 51871 and all else between nodes, or a switch that failed",
    catcher="wire.delivered",
    also=(*LOST, *BLIND, "wire.*", "size.outer-unfragmented"),
    default="all nodes",
)
def blackhole(lab: Lab, node: LabNode) -> None:
    """Unplug the node from the bridges; its devices keep their carrier."""
    for device in lab.spec.devices:
        lab.sandbox.run(f"ip link set dev {port_of(node, device)} nomaster", netns=UNDERLAY)


def _on_the_wire(lab: Lab, node: LabNode, *rules: str) -> None:
    """Drop on the wire what the node sends and these nftables rules match."""
    for device in lab.spec.devices:
        port = port_of(node, device)
        commands = [
            "add table netdev wire",
            f'add chain netdev wire {port} {{ type filter hook ingress device "{port}" priority 0; }}',
            *(f"add rule netdev wire {port} {rule} drop" for rule in rules),
        ]
        lab.sandbox.run("nft -f - <<'END'\n" + "\n".join(commands) + "\nEND", netns=UNDERLAY)


@fault(
    "blackhole-pair",
    description="the wire drops all IP packets between the node and the next node, in both directions",
    shows="one pair of nodes cannot talk, all others can",
    source="cilium/cilium issue 46687: one pair with a silent drop; a firewall between two racks",
    catcher="wire.delivered",
    also=(*LOST, "capture.agents"),
    names="pair",
)
def blackhole_pair(lab: Lab, node: LabNode) -> None:
    """Drop by the addresses of both, for every protocol."""
    peer = lab.next_to(node)
    for receiver, sender in ((node, peer), (peer, node)):
        rules = [f"{'ip' if ip.version == 4 else 'ip6'} daddr {ip}" for ip in sender.addresses]
        _on_the_wire(lab, receiver, *rules)


@fault(
    "control-canary-lost",
    description="the wire drops the control canaries of the node, by whichever way it sends them",
    shows="nothing wrong with the cluster; but that the other nodes' watches see what this node sends is not proven",
    source="an underlay that carries IP to known ports alone; cilium/cilium issue 40456: an empty capture",
    catcher="capture.control-received",
    also=BLIND,
)
def control_canary_lost(lab: Lab, node: LabNode) -> None:
    """Drop the broadcast, and by all ways to other nodes."""
    _on_the_wire(
        lab,
        node,
        "ether type 0x88b5",
        "udp dport 9",
        "icmp type echo-request",
        "icmpv6 type echo-request",
        "tcp dport 4240",
    )


@fault(
    "large-packets-lost",
    description="the wire drops what is larger than 1400 bytes, and says nothing",
    shows="small packets get through, full-size ones do not: connections hang at their first large transfer",
    source="cilium/cilium issues 23917 and 37919: an MTU that the underlay does not have",
    catcher="size.delivered",
    also=(*LOST, "size.outer-unfragmented"),
)
def large_packets_lost(lab: Lab, node: LabNode) -> None:
    """Drop them by their size."""
    _on_the_wire(lab, node, "meta length > 1400")


@fault(
    "fragments-lost",
    description="the node drops IPv4 UDP packets of its pods that are in fragments",
    shows="large DNS answers and other large datagrams do not get through, though this version lets fragments pass",
    source="Cilium's option enable-ipv4-fragment-tracking=false, or a full map of fragments",
    catcher="size.delivered[v4-udp]",
    also=["size.no-cleartext"],
    families=[IPFamily.V4],
)
def fragments_lost(lab: Lab, node: LabNode) -> None:
    """Drop them where the lab drops those that its version drops."""
    match = 'iifname "lxc*" ip protocol 17 ip frag-off & 0x3fff != 0'
    lab.run_in(node, f"nft 'add rule inet {FRAGMENTS} prerouting {match} drop'")


@fault(
    "outer-fragmented",
    description="the node's route to the next node has an MTU below what WireGuard's packets need",
    shows="UDP 51871 in IP fragments; slow, and lost where fragments are dropped",
    source="cilium/cilium issues 28413 and 23917: fragments of encrypted packets on eth0",
    catcher="size.outer-unfragmented",
    names="pair",
)
def outer_fragmented(lab: Lab, node: LabNode) -> None:
    """Add such a route to the next node's address."""
    lab.run_in(node, f"ip route add {lab.next_to(node).addresses[0]} dev {DEVICES[0]} mtu lock 1300")


@fault(
    "route-mtu",
    description="the node's test pod has routes with the native device's MTU",
    shows="`ip route` in the pod with mtu 1500: packets of that size do not fit into the tunnel",
    source="cilium/cilium issue 28413; CNI chaining without cni.enableRouteMTUForCNIChaining",
    catcher="size.route-mtu",
    also=["size.delivered", "size.dont-fragment", "size.no-cleartext", "size.outer-unfragmented"],
)
def route_mtu(lab: Lab, node: LabNode) -> None:
    """Change the default routes of the pod."""
    for family in lab.families:
        gateway = node.cilium_address(family)
        lab.run_in_pod(node, f"ip route change default via {gateway} dev eth0 mtu {lab.spec.mtu}")


@fault(
    "path-mtu",
    description="the node's routes to other nodes' test pods have a lower MTU than the pod's own routes",
    shows="full-size packets with DF are refused, though the pod's routes promise them",
    source="cilium/cilium issue 33303: an MTU that was changed on the node and not in running pods",
    catcher="size.dont-fragment",
    also=["size.delivered", "size.no-cleartext"],
)
def path_mtu(lab: Lab, node: LabNode) -> None:
    """Change the tunnel's route where there is one, else add such routes."""
    for family in lab.families:
        if rule := lab.expected.rule:
            ways = [f"replace default dev {lab.device} table {rule.table}"]
        else:
            ways = [
                f"add {peer.test_pod.pod.address(family)} via {peer.device_address(DEVICES[0], family)}"
                for peer in lab.peers_of(node)
            ]
        lab.run_in(node, "\n".join(f"ip -{family.value[1]} route {way} mtu lock 1300" for way in ways))


@fault(
    "handshake-elsewhere",
    description="handshake messages between the node and the next one take a way that no watch knows",
    shows="a session that was made while the watch stood, and no initiation or response on the native devices",
    source="design: what makes a session has to be seen, else there is a device between nodes that nobody watches",
    catcher="handshake.on-wire",
    also=(*CLEAR, "wire.tunnelled", Doubt("wire.custody")),  # who is reached that way answers that way
    names="pair",
)
def handshake_elsewhere(lab: Lab, node: LabNode) -> None:
    """Route messages of a handshake's sizes over the side link."""
    _carry_elsewhere(lab, node, "udp length { 156, 100 }")


@fault(
    "tunnel-elsewhere",
    description="all WireGuard packets between the node and the next one take a way that no watch knows",
    shows="all goes into the tunnel and comes out of it, and no WireGuard packet is on the native devices",
    source="a second network between nodes that neither Cilium's `devices` nor the default route names",
    catcher="wire.tunnelled",
    also=(*CLEAR, Doubt("wire.custody"), "handshake.*"),
    names="pair",
)
def tunnel_elsewhere(lab: Lab, node: LabNode) -> None:
    """Route them over the side link."""
    _carry_elsewhere(lab, node)


def _carry_elsewhere(lab: Lab, node: LabNode, condition: str = "") -> None:
    """Route WireGuard messages over a side link, by a mark of their own."""
    side_link(lab, node, lab.next_to(node))
    peer = lab.next_to(node)
    for end, far, gateway in ((node, peer, 2), (peer, node, 1)):
        lab.run_in(
            end,
            f"ip rule add priority 2 fwmark {SIDE_TABLE:#x} lookup {SIDE_TABLE}\n"
            f"ip route add {far.addresses[0]} via 192.0.2.{gateway} dev {SIDE} table {SIDE_TABLE}\n"
            f"nft -f - <<'END'\nadd table inet elsewhere\n"
            f"add chain inet elsewhere output {{ type route hook output priority mangle; }}\n"
            f"add rule inet elsewhere output ip daddr {far.addresses[0]} udp dport {lab.expected.listen_port} "
            f"{condition} meta mark set {SIDE_TABLE:#x}\nEND",
        )


@fault(
    "outer-address",
    description="the node's WireGuard packets to the next one are sent to an address that is no node's, and end there",
    shows="WireGuard's packets to an unknown address that no peer has as its endpoint: no NAT that a peer follows",
    source="a rule that rewrites destinations, left behind by a load balancer or a firewall",
    catcher="wire.outer-addresses",
    also=BYPASSED,
    names="cluster",  # whose the unknown address is, a watch cannot tell
)
def outer_address(lab: Lab, node: LabNode) -> None:
    """Give the next node a second address, and rewrite the destination of what goes there."""
    peer = lab.next_to(node)
    other = peer.addresses[0] + 1000
    lab.run_in(peer, f"ip addr add {other}/16 dev {DEVICES[0]}")
    lab.run_in(
        node,
        f"nft -f - <<'END'\nadd table ip outer\n"
        f"add chain ip outer output {{ type nat hook output priority -100; }}\n"
        f"add rule ip outer output ip daddr {peer.addresses[0]} udp dport {lab.expected.listen_port} "
        f"dnat to {other}\nEND",
    )
