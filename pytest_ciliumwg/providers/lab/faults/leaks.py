"""Faults that let packets of one pod pair out in clear: from the node's test pod to the next node's test pod."""

from __future__ import annotations

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.providers.lab.faults import vxlan
from pytest_ciliumwg.providers.lab.faults.registry import fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import DEVICES, LabNode
from pytest_ciliumwg.providers.lab.steering import NFT_TABLE, nft_family, tc_match, tc_protocol

UDP = 17
_BYPASS_PREFERENCE = {IPFamily.V4: 1, IPFamily.V6: 2}


def test_pod_pair(lab: Lab, node: LabNode, family: IPFamily) -> tuple[IPAddress, IPAddress]:
    """The addresses of the node's and the next node's test pod."""
    source = node.test_pod.pod.address(family)
    destination = lab.next_to(node).test_pod.pod.address(family)
    if source is None or destination is None:
        raise AssertionError("asked for a family that the lab does not have")
    return source, destination


def bypass(lab: Lab, node: LabNode, *, protocol: int | None = None) -> None:
    """Lead packets of the pair past the steering, so that they take the main table's route in clear.

    Args:
        lab: The lab.
        node: The sending node.
        protocol: The one protocol number to which this is limited.
    """
    for family in lab.families:
        if lab.expected.steering == "rule":
            _bypass_mark(lab, node, family, protocol)
        else:
            _bypass_redirect(lab, node, family, protocol)


def _bypass_mark(lab: Lab, node: LabNode, family: IPFamily, protocol: int | None) -> None:
    source, destination = test_pod_pair(lab, node, family)
    name = nft_family(family)
    only = "" if protocol is None else f"meta l4proto {protocol} "
    lab.run_in(
        node,
        f"nft insert rule inet {NFT_TABLE} prerouting {name} saddr {source} {name} daddr {destination} {only}accept",
    )


def _bypass_redirect(lab: Lab, node: LabNode, family: IPFamily, protocol: int | None) -> None:
    source, destination = test_pod_pair(lab, node, family)
    name = tc_match(family)
    only = "" if protocol is None else f"match {name} protocol {protocol} 0xff "
    for device in lab.spec.devices:
        # A filter with a class and no action ends the classification, and the packet goes its way.
        lab.run_in(
            node,
            f"tc filter add dev {device} egress protocol {tc_protocol(family)} pref {_BYPASS_PREFERENCE[family]} "
            f"u32 match {name} src {source} match {name} dst {destination} {only}flowid 1:1",
        )


@fault(
    "leak-udp-pair",
    description="UDP from the node's test pod to the next node's leaves in clear, all else is encrypted",
    shows="TCP and ICMP encrypted everywhere; UDP datagrams of one pod pair in clear on the wire",
    source="cilium/cilium issue 46864 (replies over UDP in clear) and CVE-2024-28250 (only what a proxy sends)",
)
def leak_udp_pair(lab: Lab, node: LabNode) -> None:
    """Bypass the steering for UDP."""
    bypass(lab, node, protocol=UDP)


@fault(
    "leak-snat",
    description="packets from the node's test pod to the next node's leave in clear, with the node's address",
    shows="cleartext whose source is the node's address: a capture that filters by pod addresses sees nothing",
    source="masquerading before the encryption decision: the source is then the host, which is not encrypted",
)
def leak_snat(lab: Lab, node: LabNode) -> None:
    """Masquerade the pair's packets; the redirect does not match the new source, the rule needs a bypass."""
    if lab.expected.steering == "rule":
        bypass(lab, node)
    rules = []
    for family in lab.families:
        source, destination = test_pod_pair(lab, node, family)
        name = nft_family(family)
        own = node.device_address(DEVICES[0], family)
        rules.append(f"{name} saddr {source} {name} daddr {destination} snat {name} to {own}")
    ruleset = "\n".join(
        [
            "table inet leak_snat {",
            "chain postrouting {",
            "type nat hook postrouting priority srcnat;",
            *rules,
            "}",
            "}",
        ]
    )
    lab.run_in(node, f"nft -f - <<'END'\n{ruleset}\nEND")


@fault(
    "leak-eth1",
    description="packets from the node's test pod to the next node's leave in clear through eth1 alone",
    shows="nothing in clear on the first native device, cleartext on the second",
    source="a native device that Cilium does not manage (`devices`) is not covered by the redirect",
    devices=DEVICES,
)
def leak_eth1(lab: Lab, node: LabNode) -> None:
    """Route the pair over the second device, where nothing redirects."""
    second = DEVICES[1]
    if lab.expected.steering == "rule":
        bypass(lab, node)
    else:
        lab.run_in(node, f"tc qdisc del dev {second} clsact")
    for family in lab.families:
        _, destination = test_pod_pair(lab, node, family)
        gateway = lab.next_to(node).device_address(second, family)
        lab.run_in(node, f"ip route add {destination} via {gateway} dev {second}")


@fault(
    "leak-vxlan",
    description="packets from the node's test pod to the next node's leave in clear inside VXLAN",
    shows="UDP 8472 between the nodes that holds cleartext: a capture that filters by outer addresses sees nothing",
    source="tunnel mode with the redirect before or after the wrong encapsulation; CVE-2024-28250 in tunnel mode",
)
def leak_vxlan(lab: Lab, node: LabNode) -> None:
    """Route the pair into a VXLAN device of the two nodes."""
    if lab.expected.steering == "rule":
        bypass(lab, node)
    peer = lab.next_to(node)
    vxlan.join(lab, node, peer)
    for family in lab.families:
        _, destination = test_pod_pair(lab, node, family)
        lab.run_in(
            node,
            f"ip neigh add {destination} lladdr {vxlan.mac(peer)} dev {vxlan.DEVICE} nud permanent\n"
            f"ip route add {destination} dev {vxlan.DEVICE}",
        )
