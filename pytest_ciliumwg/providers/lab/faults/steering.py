"""Faults of what gets packets into the WireGuard device: encryption off, rule, table and redirect."""

from __future__ import annotations

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.faults.registry import fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.steering import FILTER_PREFERENCE, NFT_TABLE, redirect_script, tc_protocol


@fault(
    "encryption-off",
    description="encryption is disabled: no device, no rule, table or redirect, no published key",
    shows="no cilium_wg0, no key annotation on the CiliumNode; pod traffic between nodes in clear",
    source="enable-wireguard=false in Cilium's configuration, on all nodes or, half rolled out, on one",
    default="all nodes",
)
def encryption_off(lab: Lab, node: LabNode) -> None:
    """Undo all of Cilium's work on the node, and what the others' agents then undo of theirs."""
    key = lab.keys.pop(node.name)
    lab.run_in(node, f"ip link del {lab.device}")
    if lab.expected.steering == "rule":
        _delete_rules(lab, node)
        lab.run_in(node, f"nft delete table inet {NFT_TABLE}")
    else:
        lab.run_in(node, _no_redirects(lab))
    for peer in lab.peers_of(node):
        if peer.name in lab.keys:
            lab.run_in(peer, f"wg set {lab.device} peer {key} remove")
            if lab.expected.steering == "redirect":
                # The node's pods lose the encryption key index in everybody's ipcache, and with it the redirect.
                encrypting = [other for other in lab.layout if other.name in lab.keys]
                script = redirect_script(lab.spec, encrypting, peer, lab.expected)
                lab.run_in(peer, f"{_no_redirects(lab)}\n{script}")
    if not lab.keys:
        lab.publish_encryption_off()


def _no_redirects(lab: Lab) -> str:
    return "\n".join(f"tc qdisc del dev {device} clsact" for device in lab.spec.devices)


def _delete_rules(lab: Lab, node: LabNode) -> None:
    if rule := lab.expected.rule:
        for family in lab.families:
            lab.run_in(node, f"ip -{family.value[1]} rule del priority {rule.priority} lookup {rule.table}")


@fault(
    "rule-deleted",
    description="the ip rule that takes marked packets to table 201 is gone",
    shows="`ip rule` without `fwmark 0xe00/0xf00 lookup 201`; the node's pods send in clear",
    source="a network manager or another agent that flushes rules it does not know",
    steering="rule",
)
def rule_deleted(lab: Lab, node: LabNode) -> None:
    """Delete the rule of every family."""
    _delete_rules(lab, node)


@fault(
    "table-emptied",
    description="table 201 has no route, so that marked packets fall through to the main table",
    shows="the rule present, `ip route show table 201` empty; the node's pods send in clear",
    source="seen live: after encryption was switched off on Cilium 1.13 the rule stayed and the table was empty",
    steering="rule",
)
def table_emptied(lab: Lab, node: LabNode) -> None:
    """Flush the table of every family."""
    if rule := lab.expected.rule:
        for family in lab.families:
            lab.run_in(node, f"ip -{family.value[1]} route flush table {rule.table}")


@fault(
    "redirect-removed-v6",
    description="IPv6 packets are no longer redirected into cilium_wg0 on the native devices",
    shows="IPv4 encrypted, IPv6 of the node's pods in clear",
    source="an ipcache without the encryption key index for one family; cilium/cilium CVE-2024-25631 is of this kind",
    steering="redirect",
    families=[IPFamily.V6],
)
def redirect_removed_v6(lab: Lab, node: LabNode) -> None:
    """Delete the IPv6 filters."""
    v6 = IPFamily.V6
    for device in lab.spec.devices:
        lab.run_in(node, f"tc filter del dev {device} egress protocol {tc_protocol(v6)} pref {FILTER_PREFERENCE[v6]}")
