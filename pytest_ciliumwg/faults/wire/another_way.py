"""Faults that carry packets of one pod pair another way than through the tunnel, where no watch sees them.

Other pods use the tunnel between the two nodes meanwhile, so that there is WireGuard data to be taken for theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.faults.tools.consequences import BYPASSED
from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.faults.tools.masking_tunnel import DEVICE as MASKING_DEVICE
from pytest_ciliumwg.faults.tools.masking_tunnel import start_masking_tunnel
from pytest_ciliumwg.faults.tools.xdp import carry_by_xdp
from pytest_ciliumwg.faults.wire.bypass import pod_pair
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.steering import nft_family

SIDE = "side0"
TABLE, PRIORITY = 77, 0
"""Of the second way's routes; the rule that leads there comes before all others."""
MARK = 0x1000000
"""No bit of any mark of Cilium's."""
SECOND_NETWORK = "a second network (storage, SR-IOV, a VPN) that Cilium's `devices` does not name"


def side_link(lab: Lab, node: LabNode, peer: LabNode) -> None:
    """Lay a cable between two nodes that nobody knows of."""
    lab.sandbox.run(f"ip link add {SIDE} netns {node.name} type veth peer name {SIDE} netns {peer.name}")
    for number, end in enumerate((node, peer), 1):
        lab.run_in(
            end,
            f"ip addr add 192.0.2.{number}/24 dev {SIDE}\nip link set {SIDE} up\n"
            f"ip -6 addr add 2001:db8::{number}/64 dev {SIDE} nodad",
        )


def lead_over(
    lab: Lab,
    node: LabNode,
    peer: LabNode,
    routes: Sequence[str],
    condition: str = "",
    ends: Sequence[tuple[IPAddress, IPAddress]] = (),
) -> None:
    """Lead packets from the node's test pod to the peer's by routes of their own.

    Args:
        lab: The lab.
        node: The sending node.
        peer: The receiving one.
        routes: For each family of the lab where its routes lead, as `ip route` writes it.
        condition: What else a packet must meet, as nftables writes it; nothing: all are led there.
        ends: For each family the source and destination instead of those of the test pods.
    """
    chosen = ends or [pod_pair(lab, node, family, peer) for family in lab.families]
    chain = _chain(peer)
    commands = [
        f"add table inet {chain}",
        f"add chain inet {chain} go {{ type filter hook prerouting priority -140; }}",
    ]
    script = []
    for family, route, (source, destination) in zip(lab.families, routes, chosen, strict=True):
        name = nft_family(family)
        commands.append(
            f"add rule inet {chain} go {name} saddr {source} {name} daddr {destination} {condition} "
            f"meta mark set meta mark | {MARK:#x}"
        )
        ip = f"ip -{family.value[1]}"
        script += [f"{ip} route add {destination} {route} table {TABLE}"]
        script += [f"{ip} rule add fwmark {MARK:#x}/{MARK:#x} lookup {TABLE} pref {PRIORITY}"]
    lab.run_in(node, "\n".join(["nft -f - <<'END'", *commands, "END", *script]))


def no_other_way(lab: Lab, node: LabNode, peer: LabNode) -> None:
    """Let the packets take Cilium's way again."""
    lab.run_in(node, f"nft delete table inet {_chain(peer)}")


def _chain(peer: LabNode) -> str:
    return f"another_way_{peer.index}"


def over_the_side(
    lab: Lab,
    node: LabNode,
    peer: LabNode,
    number: int,
    condition: str = "",
    ends: Sequence[tuple[IPAddress, IPAddress]] = (),
) -> None:
    """Lead packets over the side link; `number` is the peer's on it."""
    gateways = {IPFamily.V4: f"via 192.0.2.{number} dev {SIDE}", IPFamily.V6: f"via 2001:db8::{number} dev {SIDE}"}
    lead_over(lab, node, peer, [gateways[family] for family in lab.families], condition, ends)


@fault(
    "path-unwatched",
    description="pods of the node reach the next node's test pod in cleartext, over a way that no watch knows",
    shows="all delivered, nothing in cleartext on the native devices, and no WireGuard packets between the two",
    source=SECOND_NETWORK,
    catcher="wire.custody",
    also=BYPASSED,
    names="pair",
)
def path_unwatched(lab: Lab, node: LabNode) -> None:
    """Lead both test pods over the side link, each to the other."""
    peer = lab.next_to(node)
    side_link(lab, node, peer)
    over_the_side(lab, node, peer, 2)
    over_the_side(lab, peer, node, 1)


@fault(
    "path-asymmetric",
    description="packets to the next node's test pod take a way that no watch knows, in cleartext; replies the tunnel",
    shows="all delivered, and WireGuard packets between the two in one direction only",
    source="asymmetric routing over a second network; a one-sided leak keeps ping at 0 % loss",
    catcher="wire.custody",
    also=BYPASSED,
    names="pair",
)
def path_asymmetric(lab: Lab, node: LabNode) -> None:
    """Lead the node's test pod over the side link, and not the next node's."""
    peer = lab.next_to(node)
    side_link(lab, node, peer)
    over_the_side(lab, node, peer, 2)


@fault(
    "path-unwatched-busy",
    description="as path-unwatched, while other pods of the two nodes use the tunnel",
    shows="all delivered, nothing in cleartext, and plenty of WireGuard packets between the two: of other pods",
    source=SECOND_NETWORK,
    catcher="wire.custody",
    also=BYPASSED,
    names="pair",
)
def path_unwatched_busy(lab: Lab, node: LabNode) -> None:
    """Begin the other pods' traffic first."""
    start_foreign_traffic(lab, node, lab.next_to(node))
    path_unwatched(lab, node)


def _second_route(lab: Lab, node: LabNode, *, condition: str) -> None:
    peer = lab.next_to(node)
    start_foreign_traffic(lab, node, peer)
    side_link(lab, node, peer)
    over_the_side(lab, node, peer, 2, condition)


for _name, _condition, _catcher, _what in (
    ("icmp", "meta l4proto { icmp, icmpv6 }", "wire.custody[v4-icmp]", "ICMP"),
    ("tcp", "meta l4proto tcp", "wire.custody[v4-tcp]", "TCP"),
    ("udp", "meta l4proto udp", "wire.custody[v6-udp]", "UDP"),
    ("replies", "ct direction reply", "wire.custody", "every reply"),
    ("small", "meta length < 60", "wire.custody[v4-udp]", "every packet below 60 bytes"),
    ("some", "meta l4proto udp meta length 200-400 numgen inc mod 10 == 3", "wire.custody", "one UDP datagram in ten"),
):
    fault(
        f"second-route-{_name}",
        description=f"{_what} from the node's test pod to the next node's takes a marked route over a second network",
        shows="all delivered, nothing in cleartext on the native devices, WireGuard packets in both directions",
        source="policy routing by mark (a service mesh, a CNI chained behind Cilium) in front of Cilium's rules",
        catcher=_catcher,
        also=BYPASSED,
        names="pair",
        families=IPFamily if "v6" in _catcher else [IPFamily.V4] if "v4" in _catcher else (),
    )(partial(_second_route, condition=_condition))


@fault(
    "second-tunnel",
    description="packets between the node's test pod and the next node's go through another tunnel, which masks them",
    shows="all delivered, nothing that reads as cleartext, WireGuard packets of other pods, and UDP of an unknown port",
    source="an overlay of somebody else's (a VPN, a mesh) that takes pods' packets; masking is not encryption",
    catcher="wire.custody",
    also=BYPASSED,
    names="pair",
)
def second_tunnel(lab: Lab, node: LabNode) -> None:
    """Lead both test pods through a tunnel that turns over the bits."""
    peer = lab.next_to(node)
    start_foreign_traffic(lab, node, peer)
    start_masking_tunnel(lab, node, peer)
    for one, other in ((node, peer), (peer, node)):
        lead_over(lab, one, other, [f"dev {MASKING_DEVICE}"] * len(lab.families))


@fault(
    "second-route-unused",
    description="a routing table of the node has a route to the next node's test pod over a second network",
    shows="all encrypted for now; whatever is marked for that table goes past the tunnel",
    source="policy routing that somebody prepared (a mesh, a VPN) and that waits for its mark",
    catcher="steering.other-ways",
)
def second_route_unused(lab: Lab, node: LabNode) -> None:
    """Lay the side link and the route, and lead nothing there."""
    peer = lab.next_to(node)
    side_link(lab, node, peer)
    for family in lab.families:
        _, destination = pod_pair(lab, node, family, peer)
        lab.run_in(node, f"ip -{family.value[1]} route add {destination} dev {SIDE} table {TABLE}")


@fault(
    "xdp-both-ends",
    description="XDP carries packets between the node's test pod and the next node's, at both ends",
    shows="all delivered, nothing at all to be captured on any device, and WireGuard packets of other pods",
    source="an accelerated datapath beside Cilium; captures are attached above XDP, so none sees it",
    catcher="wire.custody",
    also=BYPASSED,
    names="pair",
    privileged=True,
)
def xdp_both_ends(lab: Lab, node: LabNode) -> None:
    """Load and attach the programs."""
    peer = lab.next_to(node)
    start_foreign_traffic(lab, node, peer)
    carry_by_xdp(lab, node, peer)
