"""Faults of the redirect that takes packets into the WireGuard device since Cilium 1.14, and encryption off."""

from __future__ import annotations

from functools import partial

from pytest_ciliumwg.faults.catalogue import BOTH, fault
from pytest_ciliumwg.faults.tools.consequences import BYPASSED, CLEAR, DEVICE, LOST
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import DEVICES, LabNode
from pytest_ciliumwg.providers.lab.steering import NFT_TABLE, redirect_script, redirects, tc_match, tc_protocol

KEY_INDEX = "cilium/cilium CVE-2024-25631 (GHSA-x989-52fc-4vr4): encryption key index 0 in the ipcache"


@fault(
    "encryption-off",
    description="encryption is disabled: no device, no rule, table or redirect, no published key",
    shows="no cilium_wg0, no key annotation on the CiliumNode; pod traffic between nodes in cleartext",
    source="enable-wireguard=false in Cilium's configuration; cilium/cilium PR 35520: removed by accident, unnoticed",
    catcher="config.encryption",
    also=(*DEVICE, *BYPASSED, "steering.*", "wire.nothing-else", "wire.*", "size.outer-unfragmented"),
    leaks=BOTH,
    names="cluster",
    default="all nodes",
)
def encryption_off(lab: Lab, node: LabNode) -> None:
    """Undo all of Cilium's work on the node, and what the others' agents then undo of theirs."""
    key = lab.keys.pop(node.name)
    _undo(lab, node)
    for peer in lab.peers_of(node):
        if peer.name in lab.keys:
            _forget(lab, peer, key)
    if not lab.keys:
        lab.publish_encryption_off()


@fault(
    "encryption-off-here",
    description="encryption is disabled on one node alone, whose agent has another configuration",
    shows="no cilium_wg0 and no key annotation on this node; its pods' traffic in cleartext in both directions",
    source="enable-wireguard=false half rolled out, or a CiliumNodeConfig for one node",
    catcher="peers.published",
    also=(*DEVICE, *BYPASSED, *LOST, "steering.*", "wire.nothing-else"),
    leaks=BOTH,
)
def encryption_off_here(lab: Lab, node: LabNode) -> None:
    """Undo it here; Cilium's configuration still says that it is on."""
    encryption_off(lab, node)


def _undo(lab: Lab, node: LabNode) -> None:
    lab.run_in(node, f"ip link del {lab.device}")
    if lab.expected.steering == "rule":
        delete_rules(lab, node)
        lab.run_in(node, f"nft delete table inet {NFT_TABLE}")
    else:
        lab.run_in(node, no_redirects(lab))


def _forget(lab: Lab, node: LabNode, key: str) -> None:
    """What the agent of a node does when another node's key is gone."""
    lab.run_in(node, f"wg set {lab.device} peer {key} remove")
    if lab.expected.steering == "redirect":
        # The pods there lose the encryption key index in everybody's ipcache, and with it the redirect.
        encrypting = [peer for peer in lab.layout if peer.name in lab.keys]
        lab.run_in(node, f"{no_redirects(lab)}\n{redirect_script(lab.spec, encrypting, node, lab.expected)}")


def no_redirects(lab: Lab) -> str:
    """Shell text that removes all redirects of a node."""
    return "\n".join(f"tc qdisc del dev {device} clsact" for device in lab.spec.devices)


def delete_rules(lab: Lab, node: LabNode, *families: IPFamily) -> None:
    """Delete the rule of these families, of all without any."""
    if rule := lab.expected.rule:
        for family in families or lab.families:
            lab.run_in(node, f"ip -{family.value[1]} rule del priority {rule.priority} lookup {rule.table}")


def steer_again(lab: Lab, node: LabNode) -> str:
    """Shell text that leads packets into a device that was made anew."""
    if rule := lab.expected.rule:
        return "\n".join(
            f"ip -{family.value[1]} route replace default dev {lab.device} table {rule.table}"
            for family in lab.families
        )
    return f"{no_redirects(lab)}\n{redirect_script(lab.spec, lab.layout, node, lab.expected)}"


@fault(
    "redirect-removed",
    description="packets are no longer redirected into cilium_wg0 on the native devices",
    shows="no cil_to_netdev at the egress of the native devices; the node's pods send in cleartext",
    source="seen live: Cilium 1.15 with the egress filter of eth0 removed, 75 packets in cleartext and no ping lost",
    catcher="steering.redirect",
    also=(*BYPASSED, "wire.nothing-else"),
    leaks=["redirect"],
    steering="redirect",
)
def redirect_removed(lab: Lab, node: LabNode) -> None:
    """Delete all filters."""
    lab.run_in(node, no_redirects(lab))


def _remove_family(lab: Lab, node: LabNode, *, family: IPFamily) -> None:
    found = redirects(lab.spec, lab.layout, node, lab.expected)
    lines = [
        f"filter del dev {device} egress protocol {tc_protocol(family)} pref {preference}"
        for device in lab.spec.devices
        for preference, (its, _) in found.items()
        if its is family
    ]
    lab.run_in(node, "\n".join(["tc -batch - <<'END'", *lines, "END"]))


for _family, _other in ((IPFamily.V4, IPFamily.V6), (IPFamily.V6, IPFamily.V4)):
    fault(
        f"redirect-removed-{_family.value}",
        description=f"IP{_family.value} packets are no longer redirected into cilium_wg0 on the native devices",
        shows=f"IP{_other.value} encrypted, IP{_family.value} of the node's pods in cleartext",
        source=f"{KEY_INDEX}, here for one family",
        catcher=f"steering.redirect[{_family.value}]",
        also=(*CLEAR, "wire.nothing-else"),
        leaks=["redirect"],
        steering="redirect",
        families=[_family],
    )(partial(_remove_family, family=_family))


@fault(
    "redirect-one-device",
    description="a pod of the next node is reached by the second native device, which has no redirect",
    shows="cil_to_netdev on eth0 and not on eth1; nothing in cleartext until somebody sends to that pod",
    source="a device that Cilium's `devices` does not match, or that came after the agent's start",
    catcher="steering.redirect",
    steering="redirect",
    devices=DEVICES,
)
def redirect_one_device(lab: Lab, node: LabNode) -> None:
    """Delete the filters of the second device, and route the next node's idle pod over it."""
    peer, second = lab.next_to(node), DEVICES[1]
    lab.run_in(node, f"tc qdisc del dev {second} clsact")
    for family in lab.families:
        gateway = peer.device_address(second, family)
        lab.run_in(node, f"ip route add {peer.idle_pod.pod.address(family)} via {gateway} dev {second}")


@fault(
    "redirect-elsewhere",
    description="the redirect leads into another device than cilium_wg0",
    shows="a program at the egress of the native devices that is not Cilium's; pods' packets are lost",
    source="another tool that took Cilium's place at the tc hook; tc filters are replaced, not stacked, by some",
    catcher="steering.redirect",
    also=LOST,
    steering="redirect",
)
def redirect_elsewhere(lab: Lab, node: LabNode) -> None:
    """Redirect into cilium_host."""
    script = redirect_script(lab.spec, lab.layout, node, lab.expected).replace(f"dev {lab.device}", "dev cilium_host")
    lab.run_in(node, f"{no_redirects(lab)}\n{script}")


@fault(
    "ipcache-key-zero",
    description="the node's datapath does not know that the next node's pods are to be encrypted to",
    shows="cil_to_netdev is there, but the ipcache has encryption key 0 for those pods: packets to them in cleartext",
    source=f"{KEY_INDEX}; CVE-2024-25630 (GHSA-7496-fgv9-xw82): the same for health and ingress endpoints",
    catcher="wire.no-cleartext",
    also=BYPASSED,
    leaks=BOTH,
    names="pair",
)
def ipcache_key_zero(lab: Lab, node: LabNode) -> None:
    """Steer for the other nodes' pods alone."""
    others = [peer for peer in lab.layout if peer is not lab.next_to(node)]
    if lab.expected.steering == "redirect":
        lab.run_in(node, f"{no_redirects(lab)}\n{redirect_script(lab.spec, others, node, lab.expected)}")
        return
    for family in lab.families:
        name = tc_match(family)
        network = lab.next_to(node).pod_cidr(family)
        lab.run_in(node, f"nft insert rule inet {NFT_TABLE} prerouting {name} daddr {network} accept")
