"""Faults of the ip rule and of table 201: missing or wrong up to Cilium 1.13, left behind since 1.14."""

from __future__ import annotations

from functools import partial

from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.faults.state.steering import delete_rules
from pytest_ciliumwg.faults.tools.consequences import BYPASSED, CLEAR, LOST
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import DEVICES, LabNode

TABLE = "201"
MARK, MASK = 0xE00, 0xF00
STALE = "deduced from Cilium's code: 1.16 and later never remove what 1.13 installed; a node that was not rebooted"


@fault(
    "rule-deleted",
    description="the ip rule that takes marked packets to table 201 is gone",
    shows="`ip rule` without `fwmark 0xe00/0xf00 lookup 201`; the node's pods send in cleartext",
    source="seen live: 75 of 100 requests in cleartext; a network manager or another agent that flushes rules",
    catcher="steering.rule",
    also=(*BYPASSED, "wire.nothing-else"),
    leaks=["rule"],
    steering="rule",
)
def rule_deleted(lab: Lab, node: LabNode) -> None:
    """Delete the rule of every family."""
    delete_rules(lab, node)


def _delete_family(lab: Lab, node: LabNode, *, family: IPFamily) -> None:
    delete_rules(lab, node, family)


for _family, _other in ((IPFamily.V4, IPFamily.V6), (IPFamily.V6, IPFamily.V4)):
    fault(
        f"rule-deleted-{_family.value}",
        description=f"the ip rule is gone for IP{_family.value} alone",
        shows=f"10 of 10 IP{_family.value} requests in cleartext, IP{_other.value} encrypted, no ping lost",
        source="seen live on Cilium 1.13 with the IPv6 rule deleted on one node",
        catcher=f"steering.rule[{_family.value}]",
        also=(*CLEAR, "wire.nothing-else"),
        leaks=["rule"],
        steering="rule",
        families=[_family],
    )(partial(_delete_family, family=_family))


def _change(lab: Lab, node: LabNode, **changes: int | str) -> None:
    """Replace the rule of every family by one that differs in these."""
    rule = lab.expected.rule
    if rule is None:
        raise AssertionError("registered for the steering kind `rule`")
    fields = {"priority": rule.priority, "fwmark": rule.fwmark, "fwmask": rule.fwmask, "table": rule.table, **changes}
    delete_rules(lab, node)
    for family in lab.families:
        lab.run_in(
            node,
            f"ip -{family.value[1]} rule add priority {fields['priority']} "
            f"fwmark {fields['fwmark']}/{fields['fwmask']} lookup {fields['table']}",
        )


for _name, _changes, _what in (
    ("mark", {"fwmark": 0xD00}, "another mark, 0xd00"),
    ("mask", {"fwmark": MARK | 1, "fwmask": MASK | 0xF}, "a wider mask, which the marked packets do not meet"),
    ("priority", {"priority": 40000}, "a priority behind the main table's"),
    ("table", {"table": "202"}, "another table, 202, which is empty"),
):
    fault(
        f"rule-wrong-{_name}",
        description=f"the ip rule has {_what}",
        shows="an ip rule that looks right at a glance; the node's pods send in cleartext",
        source="pkg/wireguard/agent/agent.go to 1.13 (RulePriorityWireguard, RouteMarkEncrypt, RouteTableWireguard): "
        "edited by hand, or by another agent that uses the same table, mark or priority",
        catcher="steering.rule",
        also=(*BYPASSED, "wire.nothing-else"),
        leaks=["rule"],
        steering="rule",
    )(partial(_change, **_changes))


@fault(
    "table-emptied",
    description="table 201 has no route, so that marked packets fall through to the main table",
    shows="the rule present, `ip route show table 201` empty; the node's pods send in cleartext",
    source="seen live: after encryption was switched off on Cilium 1.13 the rule stayed and the table was empty",
    catcher="steering.table",
    also=(*BYPASSED, "wire.nothing-else"),
    leaks=["rule"],
    steering="rule",
)
def table_emptied(lab: Lab, node: LabNode) -> None:
    """Flush the table of every family."""
    for family in lab.families:
        lab.run_in(node, f"ip -{family.value[1]} route flush table {TABLE}")


@fault(
    "table-wrong-device",
    description="the default route of table 201 leads to the native device",
    shows="`default dev eth0` in table 201; the node's pods are not reached, or in cleartext where a router helps",
    source="a route daemon that repairs default routes in every table",
    catcher="steering.table",
    also=LOST,
    steering="rule",
)
def table_wrong_device(lab: Lab, node: LabNode) -> None:
    """Replace the route of every family."""
    for family in lab.families:
        lab.run_in(node, f"ip -{family.value[1]} route replace default dev {DEVICES[0]} table {TABLE}")


@fault(
    "table-extra-route",
    description="table 201 has a more specific route to the next node's pods, past the tunnel",
    shows="two routes in table 201; packets to the pods of one node in cleartext",
    source="a cloud's route controller that writes pod routes into every table",
    catcher="steering.table",
    also=BYPASSED,
    leaks=["rule"],
    steering="rule",
    names="node",
)
def table_extra_route(lab: Lab, node: LabNode) -> None:
    """Add the route for every family."""
    peer = lab.next_to(node)
    for family in lab.families:
        gateway = peer.device_address(DEVICES[0], family)
        lab.run_in(node, f"ip -{family.value[1]} route add {peer.pod_cidr(family)} via {gateway} table {TABLE}")


def _add_rules(lab: Lab, node: LabNode) -> None:
    for family in lab.families:
        lab.run_in(node, f"ip -{family.value[1]} rule add priority 1 fwmark {MARK:#x}/{MASK:#x} lookup {TABLE}")


@fault(
    "stale-rule",
    description="the ip rule of Cilium 1.13 is still there",
    shows="`fwmark 0xe00/0xf00 lookup 201` on a version that does not use it; table 201 is empty",
    source=STALE,
    catcher="steering.rule",
    also=["steering.no-loop"],
    steering="redirect",
)
def stale_rule(lab: Lab, node: LabNode) -> None:
    """Add it."""
    _add_rules(lab, node)


@fault(
    "stale-rule-loop",
    description="the ip rule and the route of Cilium 1.13 are still there, and match WireGuard's own packets",
    shows="encrypted packets, whose mark the old rule matches, are encrypted again and never leave the node",
    source=STALE,
    catcher="steering.no-loop",
    also=(*LOST, "steering.rule", "steering.table"),
    steering="redirect",
)
def stale_rule_loop(lab: Lab, node: LabNode) -> None:
    """Add rule and route; what has gone round a few times is dropped, since the lab shares its machine."""
    _add_rules(lab, node)
    stale_table(lab, node)
    lab.run_in(
        node,
        "nft -f - <<'END'\nadd table inet loop\n"
        "add chain inet loop output { type filter hook output priority filter; }\n"
        f'add rule inet loop output oifname "{lab.device}" udp dport {lab.expected.listen_port} '
        "meta length > 1000 drop\nEND",
    )


@fault(
    "stale-table",
    description="the route of Cilium 1.13 is still in table 201, without a rule",
    shows="`default dev cilium_wg0` in table 201 on a version that does not use it",
    source=STALE,
    catcher="steering.table",
    steering="redirect",
)
def stale_table(lab: Lab, node: LabNode) -> None:
    """Add the route."""
    for family in lab.families:
        lab.run_in(node, f"ip -{family.value[1]} route add default dev {lab.device} table {TABLE}")


@fault(
    "main-route",
    description="a route of the main table leads to the next node's pods by cilium_wg0",
    shows="a pod route with `dev cilium_wg0` in the main table",
    source="pkg/wireguard/agent/agent.go: no version adds one; wg-quick and similar tools do for allowed IPs",
    catcher="steering.main-table",
)
def main_route(lab: Lab, node: LabNode) -> None:
    """Add it for the idle pod, which has no traffic."""
    for address in lab.next_to(node).idle_pod.pod.addresses:
        lab.run_in(node, f"ip route add {address} dev {lab.device}")
