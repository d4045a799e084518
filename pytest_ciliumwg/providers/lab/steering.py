"""How the lab gets a pod's packet into the WireGuard device, in the two ways that Cilium has used.

All scripts run in a node's network namespace and can be repeated. What steers already goes on steering while they run.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.expect.expectations import ExpectedRule
from pytest_ciliumwg.model.cluster import IPFamily, sorted_families
from pytest_ciliumwg.providers.lab.overlay import overlay_port
from pytest_ciliumwg.providers.lab.spec import LabNode, LabPod, LabSpec

NFT_TABLE = "cilium_lab"
"""The nftables table that marks pods' packets: the work of `bpf_lxc` in Cilium."""
PASSING = 5
"""The lowest preference of the filters for what is never redirected: 5 to 8."""
FILTER_PREFERENCE = 10
"""The lowest preference of the redirecting tc filters; a fault's come before them."""
TRANSLATED = 'iifname "lxc*" ct direction reply ct status dnat accept'
"""What a node translated itself goes back with the node's address, which is no pod's: it is not marked."""
NODE_PREFERENCE = 30000
"""Beyond those of all pods: the preferences of what node encryption redirects."""
LAST_PREFERENCE = 38999
"""Filters beyond it steer nothing."""


def steering_script(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode, expected: Expectations) -> str:
    """Steer a node's packets for the pods of these nodes as the imitated version does."""
    if expected.rule is None:
        return redirect_script(spec, nodes, node, expected)
    return "\n".join(
        [route_script(spec, expected), *_rules(spec, expected.rule), _marks(spec, nodes, node, expected.rule)]
    )


def other_steering_script(spec: LabSpec, expected: Expectations, old: Expectations) -> str:
    """Remove what an older or newer version steered by; empty where this version steers in the same way."""
    if expected.steering == old.steering:
        return ""
    return no_rules_script(spec, old.rule) if old.rule else no_redirects_script(spec)


def route_script(spec: LabSpec, expected: Expectations) -> str:
    """The routes of the rule's table, which go whenever the device goes down; empty where there is no rule."""
    rule = expected.rule
    return "\n".join(
        f"ip {_flag(family)} route replace default dev {expected.device_name} table {rule.table}"
        for family in sorted_families(spec.families)
        if rule
    )


def _rules(spec: LabSpec, rule: ExpectedRule) -> list[str]:
    return [
        f"ip {flag} rule show priority {rule.priority} | grep -q 'lookup {rule.table}' || "
        f"ip {flag} rule add priority {rule.priority} fwmark {rule.fwmark:#x}/{rule.fwmask:#x} lookup {rule.table}"
        for flag in map(_flag, sorted_families(spec.families))
    ]


def no_rules_script(spec: LabSpec, rule: ExpectedRule) -> str:
    """Remove the rule of every family, its table's routes and the marks."""
    flags = [_flag(family) for family in sorted_families(spec.families)]
    return "\n".join(
        [
            *(
                f"ip {flag} rule show priority {rule.priority} | grep -q 'lookup {rule.table}' && "
                f"ip {flag} rule del priority {rule.priority} lookup {rule.table} || :"
                for flag in flags
            ),
            *(f"ip {flag} route flush table {rule.table} 2>/dev/null || :" for flag in flags),
            f"nft 'add table inet {NFT_TABLE}; delete table inet {NFT_TABLE}'",
        ]
    )


def _marks(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode, rule: ExpectedRule) -> str:
    """The marks of packets to pods on other nodes, whose addresses are a set that is replaced in one transaction."""
    families = sorted_families(spec.families)
    sets = [f"set pods{family.value} {{ type {nft_type(family)}; }}" for family in families]
    marks = [
        f'iifname "lxc*" {nft_family(family)} daddr @pods{family.value} '
        f"meta mark set meta mark & {~rule.fwmask & 0xFFFFFFFF:#x} | {rule.fwmark:#x}"
        for family in families
    ]
    table = [
        f"table inet {NFT_TABLE} {{",
        *sets,
        "chain prerouting {",
        "type filter hook prerouting priority mangle;",
        *([TRANSLATED] if spec.extended else []),
        *marks,
        "}",
        "}",
    ]
    elements = []
    for family in families:
        elements.append(f"flush set inet {NFT_TABLE} pods{family.value}")
        if pods := _remote_pods(nodes, node, family):
            elements.append(f"add element inet {NFT_TABLE} pods{family.value} {{ {pods} }}")
    return "\n".join(
        [
            "{",
            f"nft list table inet {NFT_TABLE} >/dev/null 2>&1 || cat <<'END'",
            *table,
            "END",
            "cat <<'END'",
            *elements,
            "END",
            "} | nft -f -",
        ]
    )


def _remote_pods(nodes: Sequence[LabNode], node: LabNode, family: IPFamily) -> str:
    return ", ".join(str(ip) for peer in _others(nodes, node) for ip in peer.pod_addresses(family))


def redirect_script(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode, expected: Expectations) -> str:
    """Redirect a node's packets for the pods of these nodes, and for no others, into its WireGuard device."""
    wanted = redirects(spec, nodes, node, expected)
    outer = _outer_packets(spec, expected) if _encrypts_nodes(expected, node) else []
    lines = [f"{pref} {match}" for pref, (_, match) in wanted.items()]
    return "\n".join(
        [
            f"to='action mirred egress redirect dev {expected.device_name}'",
            *(_FILTERS.format(device=device, wanted="\n".join(lines), least=FILTER_PREFERENCE, most=LAST_PREFERENCE)
              for device in spec.devices),
            *(f"tc filter replace dev {device} egress {passing} flowid 1:1"
              for device in spec.devices for passing in outer),
        ]
    )  # fmt: skip


def _encrypts_nodes(expected: Expectations, node: LabNode) -> bool:
    return expected.config.node_encryption and not node.opted_out


def _outer_packets(spec: LabSpec, expected: Expectations) -> list[str]:
    """What of the nodes' own packets never goes into the device: its outer ones, and neighbour discovery."""
    found = []
    for place, family in enumerate(sorted_families(spec.families)):
        match = tc_match(family)
        found.append(
            f"protocol {tc_protocol(family)} pref {PASSING + place} u32 match {match} protocol 17 0xff "
            f"match {match} dport {expected.listen_port} 0xffff"
        )
    if IPFamily.V6 in spec.families:
        found += [
            f"protocol ipv6 pref {PASSING + 2 + place} u32 match ip6 protocol 58 0xff match u8 {kind} 0xff at 40"
            for place, kind in enumerate((135, 136))
        ]
    return found


# Adds what is not there, leads what stays to a device that was made anew, removes what shall not be; nothing else is
# touched. Each filter has an action of its own: one that all share would need rights in the first user namespace.
_FILTERS = """
tc qdisc replace dev {device} clsact
{{
    cat <<'END'
{wanted}
END
    tc filter show dev {device} egress
}} | awk -v on='dev {device} egress pref' -v to="$to" -v least={least} -v most={most} '
$1 ~ /^[0-9]+$/ {{ pref = $1; sub(/^[0-9]+ /, ""); order[++count] = pref; wanted[pref] = $0 }}
$1 == "filter" {{
    at = ""
    if ($5 ~ /^[0-9]+$/ && $5 >= least && $5 <= most) {{ has[$5] = $3; at = $5; handle = $10 }}
}}
$1 == "action" && $9 == "*)" && at != "" {{ gone[at] = handle }}
END {{
    for (number = 1; number <= count; number++) {{
        pref = order[number]
        if (!(pref in has)) print "filter add", on, pref, wanted[pref], to
        else if (pref in gone) print "filter replace", on, pref, "handle", gone[pref], wanted[pref], to
    }}
    for (pref in has) if (!(pref in wanted)) print "filter del", on, pref, "protocol", has[pref]
}}' | tc -batch -
"""


def redirects(
    spec: LabSpec, nodes: Sequence[LabNode], node: LabNode, expected: Expectations
) -> dict[int, tuple[IPFamily, str]]:
    """What of a node's packets is redirected: preference of a tc filter → family, and what it matches."""
    families = sorted_families(spec.families)
    if expected.overlay_in_wireguard:
        return {
            FILTER_PREFERENCE + place: (
                family,
                (
                    f"protocol {tc_protocol(family)} u32 match {tc_match(family)} protocol 17 0xff "
                    f"match {tc_match(family)} dport {overlay_port(spec)} 0xffff"
                ),
            )
            for place, family in enumerate(families)
        }
    found = {
        _preference(pod, family): (
            family,
            (
                f"protocol {tc_protocol(family)} u32 match {tc_match(family)} src {node.pod_cidr(family)} "
                f"match {tc_match(family)} dst {pod.pod.address(family)}"
            ),
        )
        for family in families
        for peer in _others(nodes, node)
        for pod in peer.endpoints
        if pod.pod.address(family)
    }
    return found | (_node_redirects(spec, nodes, node) if _encrypts_nodes(expected, node) else {})


def _node_redirects(spec: LabSpec, nodes: Sequence[LabNode], node: LabNode) -> dict[int, tuple[IPFamily, str]]:
    """With node encryption: what goes to other nodes that take part, and what this node itself sends to their pods."""
    found: dict[int, tuple[IPFamily, str]] = {}
    for family in sorted_families(spec.families):
        kind, ip = tc_protocol(family), tc_match(family)
        own = node.device_address(spec.devices[0], family)
        for peer in _others(nodes, node):
            if not peer.opted_out:
                place = NODE_PREFERENCE + 4 * peer.index + 2 * (family is IPFamily.V6)
                address = peer.device_address(spec.devices[0], family)
                found[place] = family, f"protocol {kind} u32 match {ip} dst {address}"
                to_pods = f"match {ip} src {own} match {ip} dst {peer.pod_cidr(family)}"
                found[place + 1] = family, f"protocol {kind} u32 {to_pods}"
    return found


def _preference(pod: LabPod, family: IPFamily) -> int:
    return FILTER_PREFERENCE + 2 + 2 * pod.number + (family is IPFamily.V6)


def no_redirects_script(spec: LabSpec) -> str:
    """Remove all redirects of a node."""
    return "\n".join(
        _FILTERS.format(device=device, wanted="", least=FILTER_PREFERENCE, most=LAST_PREFERENCE)
        for device in spec.devices
    )


def _others(nodes: Sequence[LabNode], node: LabNode) -> list[LabNode]:
    return [peer for peer in nodes if peer.name != node.name]


def _flag(family: IPFamily) -> str:
    return f"-{family.value[1]}"


def nft_family(family: IPFamily) -> str:
    """A family's name in nftables expressions."""
    return "ip" if family is IPFamily.V4 else "ip6"


def nft_type(family: IPFamily) -> str:
    """The type of a family's addresses in nftables sets."""
    return "ipv4_addr" if family is IPFamily.V4 else "ipv6_addr"


def tc_protocol(family: IPFamily) -> str:
    """A family's name as a protocol of tc filters."""
    return "ip" if family is IPFamily.V4 else "ipv6"


def tc_match(family: IPFamily) -> str:
    """A family's name in u32 matches."""
    return "ip" if family is IPFamily.V4 else "ip6"
