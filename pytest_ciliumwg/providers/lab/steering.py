"""How the lab gets a pod's packet into the WireGuard device, in the two ways that Cilium has used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.spec import LabNode, LabSpec
from pytest_ciliumwg.providers.lab.topology import OVERLAY_PORT, ip_batch

NFT_TABLE = "cilium_lab"
"""The nftables table that marks pods' packets: the work of `bpf_lxc` in Cilium."""
FILTER_PREFERENCE = {IPFamily.V4: 10, IPFamily.V6: 11}
"""The preference of the redirecting tc filters; a fault's comes before them."""


def sorted_families(families: Iterable[IPFamily]) -> list[IPFamily]:
    """IPv4 first."""
    return sorted(families, key=lambda family: family.value)


def steering_script(spec: LabSpec, nodes: Sequence[LabNode], expected: Expectations) -> str:
    """Steer on all nodes as the imitated version does."""
    steer = _by_rule if expected.steering == "rule" else redirect_script
    return "\n".join(steer(spec, nodes, node, expected) for node in nodes)


def _by_rule(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode, expected: Expectations) -> str:
    if (rule := expected.rule) is None:
        raise AssertionError("the steering kind `rule` without a rule")
    routing = [
        ip_batch(
            [
                f"rule add priority {rule.priority} fwmark {rule.fwmark:#x}/{rule.fwmask:#x} lookup {rule.table}",
                f"route add default dev {expected.device_name} table {rule.table}",
            ],
            netns=node.name,
            options="-4" if family is IPFamily.V4 else "-6",
        )
        for family in sorted_families(spec.families)
    ]
    marks = [
        f'iifname "lxc*" {nft_family(family)} daddr {{ {_remote_pods(nodes, node, family)} }} '
        f"meta mark set meta mark & {~rule.fwmask & 0xFFFFFFFF:#x} | {rule.fwmark:#x}"
        for family in sorted_families(spec.families)
    ]
    ruleset = "\n".join(
        [
            f"table inet {NFT_TABLE} {{",
            "chain prerouting {",
            "type filter hook prerouting priority mangle;",
            *marks,
            "}",
            "}",
        ]
    )
    return "\n".join([*routing, f"nsenter --net=/run/netns/{node.name} nft -f - <<'END'", ruleset, "END"])


def _remote_pods(nodes: Sequence[LabNode], node: LabNode, family: IPFamily) -> str:
    return ", ".join(str(ip) for peer in nodes if peer is not node for ip in peer.pod_addresses(family))


def redirect_script(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode, expected: Expectations) -> str:
    """Redirect a node's packets for the pods of these nodes into its WireGuard device."""
    commands = []
    for device in spec.devices:
        commands.append(f"qdisc add dev {device} clsact")
        if expected.overlay_in_wireguard:
            commands += [
                f"filter add dev {device} egress protocol {tc_protocol(family)} pref {FILTER_PREFERENCE[family]} "
                f"u32 match {tc_match(family)} protocol 17 0xff match {tc_match(family)} dport {OVERLAY_PORT} 0xffff "
                f"action mirred egress redirect dev {expected.device_name}"
                for family in sorted_families(spec.families)
            ]
            continue
        for family in sorted_families(spec.families):
            commands += [
                f"filter add dev {device} egress protocol {tc_protocol(family)} pref {FILTER_PREFERENCE[family]} "
                f"u32 match {tc_match(family)} src {node.pod_cidr(family)} match {tc_match(family)} dst {pod} "
                f"action mirred egress redirect dev {expected.device_name}"
                for peer in nodes
                if peer is not node
                for pod in peer.pod_addresses(family)
            ]
    return "\n".join([f"nsenter --net=/run/netns/{node.name} tc -batch - <<'END'", *commands, "END"])


def nft_family(family: IPFamily) -> str:
    """A family's name in nftables expressions."""
    return "ip" if family is IPFamily.V4 else "ip6"


def tc_protocol(family: IPFamily) -> str:
    """A family's name as a protocol of tc filters."""
    return "ip" if family is IPFamily.V4 else "ipv6"


def tc_match(family: IPFamily) -> str:
    """A family's name in u32 matches."""
    return "ip" if family is IPFamily.V4 else "ip6"
