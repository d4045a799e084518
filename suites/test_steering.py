"""How a pod's packet gets into the WireGuard device: by rule up to Cilium 1.13, by redirect since 1.14."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest

from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, source
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, IPNetwork, Node, Pod
from pytest_ciliumwg.model.node_state import NodeState, Redirect, Route, Rule
from pytest_ciliumwg.model.place import Place

TABLE = "201"
"""The routing table that is WireGuard's in Cilium 1.10 to 1.13."""
CILIUM_DEVICES = ("cilium_", "lxc")
CILIUM_MARK = 0xE00
"""The mark of packets to encrypt up to 1.13. A rule into table 201 without it is somebody else's."""
STALE = "A rule left behind by a version up to 1.13 sends packets into an empty table, or the tunnel's own into a loop."


@pytest.mark.ciliumwg_check("steering.rule", source=source("rule"))
def test_rule(observed: Observed, verify: Verify, expected: Expectations, family: IPFamily) -> None:
    """Up to 1.13 every node has the ip rule that takes marked packets to table 201; since 1.14 no node has one."""
    for state in observed.states("rules"):
        found = [rule for rule in state.rules if rule.family is family and rule.table == TABLE]
        if expected.rule is None:
            stale = [rule for rule in found if rule.fwmark == CILIUM_MARK]
            verify(
                not stale,
                where=Place.of_node(state.node, family=family),
                expected=f"no rule with mark {CILIUM_MARK:#x} to table {TABLE}",
                seen=_rules(stale),
                meaning=STALE,
            )
            continue
        wanted = Rule(
            family=family,
            priority=expected.rule.priority,
            table=expected.rule.table,
            fwmark=expected.rule.fwmark,
            fwmask=expected.rule.fwmask,
        )
        verify(
            [rule for rule in found if rule.fwmark == CILIUM_MARK] == [wanted],
            where=Place.of_node(state.node, family=family),
            expected=f"exactly `{_rule(wanted)}`",
            seen=_rules(found),
            meaning="Without this rule pods' packets follow the main table and leave the node in cleartext.",
        )


@pytest.mark.ciliumwg_check("steering.table", source=source("rule"))
def test_table(
    observed: Observed,
    verify: Verify,
    expected: Expectations,
    family: IPFamily,
    nodes: Sequence[Node],
    pods: Sequence[Pod],
) -> None:
    """Up to 1.13 table 201 leads to pods by its default route by cilium_wg0 alone; since 1.14 it has none by it."""
    for state in observed.states("routes"):
        found = [route for route in state.routes if route.family is family and route.table == TABLE]
        shown = ", ".join(f"{route.destination} dev {route.device}" for route in found) or "no route"
        where = Place.of_node(state.node, family=family)
        ours = [route for route in found if route.device == expected.device_name]
        if expected.rule is None:
            no_route = f"no route by {expected.device_name} in table {TABLE}"
            verify(not ours, where=where, expected=no_route, seen=shown, meaning=STALE)
            continue
        past = [route for route in found if route not in ours and _leads_to_pods(route, state.node, nodes, pods)]
        verify(
            len(ours) == 1 and ours[0].destination.prefixlen == 0 and not past,
            where=where.concerning(addresses=(route.destination.network_address for route in past)),
            expected=f"`default dev {expected.device_name}` in table {TABLE}, and no other way to pods",
            seen=shown,
            meaning="Marked packets find no way into the tunnel here; they fall through and leave in cleartext.",
        )


def _leads_to_pods(route: Route, node: str, nodes: Sequence[Node], pods: Sequence[Pod]) -> bool:
    """Whether a route takes packets for pods of other nodes, those that are there or may come."""
    version = route.destination.version
    addresses = [ip for pod in pods if pod.node != node for ip in pod.addresses if ip.version == version]
    cidrs = [cidr for peer in nodes if peer.name != node for cidr in peer.pod_cidrs if cidr.version == version]
    return any(ip in route.destination for ip in addresses) or any(map(route.destination.overlaps, cidrs))


@pytest.mark.ciliumwg_check("steering.redirect", source=source("redirect_program"))
def test_redirect(
    observed: Observed,
    verify: Verify,
    expected: Expectations,
    family: IPFamily,
    nodes: Sequence[Node],
    pods: Sequence[Pod],
) -> None:
    """Since 1.14 every native device that leads to pods or nodes redirects at its egress what has to be encrypted."""
    if expected.redirect_program is None:
        pytest.skip(f"Cilium {expected.config.version} steers by ip rule (see steering.rule)")
    elsewhere = _Elsewhere(nodes, pods)
    for state in observed.states("redirects", "native_devices", "routes"):
        for device in _leading_out(state, family, elsewhere.numbers(state.node)):
            found = [
                redirect for redirect in state.redirects if redirect.device == device and redirect.direction == "egress"
            ]
            verify(
                any(family in redirect.families and _is_ours(redirect, expected) for redirect in found),
                where=Place.of_node(state.node, device, family=family),
                expected=f"the egress program {expected.redirect_program}",
                seen=", ".join(f"{redirect.means} {redirect.program}" for redirect in found)
                or "nothing at the egress hook",
                meaning="Pods' packets that take this device leave the node in cleartext.",
            )


@pytest.mark.ciliumwg_check(
    "steering.main-table", source="pkg/wireguard/agent/agent.go: no route but that of table 201"
)
def test_main_table(
    observed: Observed, verify: Verify, expected: Expectations, nodes: Sequence[Node], pods: Sequence[Pod]
) -> None:
    """No route of the main table leads to a pod or a node by cilium_wg0."""
    for state in observed.states("routes"):
        ours = [route for route in state.routes if (route.table, route.device) == ("main", expected.device_name)]
        addresses = _addresses(state.node, nodes, pods) if ours else []
        wrong = [
            route.destination
            for route in ours
            if any(ip in route.destination for ip in addresses if ip.version == route.destination.version)
        ]
        verify(
            not wrong,
            where=Place.of_node(state.node).concerning(addresses=(network.network_address for network in wrong)),
            expected=f"no main route to pods or nodes by {expected.device_name}",
            seen=", ".join(map(str, wrong)),
            meaning="Packets that no peer accepts are sent into the tunnel, the tunnel's own may be among them.",
        )


@pytest.mark.ciliumwg_check("steering.other-ways", source="design: a second way to pods shows before traffic takes it")
def test_other_ways(observed: Observed, verify: Verify, pods: Sequence[Pod]) -> None:
    """No route of any table leads to a pod on another node by a device that is neither native nor Cilium's."""
    for state in observed.states("routes", "other_routes", "native_devices"):
        native = {device.name for device in state.native_devices}
        past = [
            route
            for route in (*state.routes, *state.other_routes)
            if route.device is not None and route.device not in native and route.destination.prefixlen > 0
            if not route.device.startswith(CILIUM_DEVICES)
        ]
        remote = {ip: pod.node for pod in pods if pod.node != state.node for ip in pod.addresses} if past else {}
        wrong = list(_taking(past, (*state.routes, *state.other_routes), remote))
        verify(
            not wrong,
            where=Place.of_node(state.node).concerning(
                {node for route in wrong for ip, node in remote.items() if ip in route.destination}
            ),
            expected="routes to other nodes' pods by native devices and Cilium's own alone",
            seen=", ".join(f"{route.destination} dev {route.device} in table {route.table}" for route in wrong),
            meaning="What takes such a route goes past the tunnel, where nobody watches.",
        )


def _taking(past: Sequence[Route], routes: Sequence[Route], addresses: Iterable[IPAddress]) -> Iterator[Route]:
    """Those routes which are the most specific ones of their tables to some of these addresses."""
    for table in dict.fromkeys(route.table for route in past):
        left = {version: sorted(int(ip) for ip in addresses if ip.version == version) for version in (4, 6)}
        taken = set(_taken((route for route in routes if route.table == table), left))
        yield from (route for route in past if route.table == table and route in taken)


@pytest.mark.ciliumwg_check(
    "steering.no-loop", source="pkg/wireguard/agent/agent.go and linux_defaults/mark.go: 1.18 reuses 0xe00"
)
def test_no_loop(observed: Observed, verify: Verify, expected: Expectations) -> None:
    """No rule takes WireGuard's own outer packets back into the tunnel."""
    for state in observed.states("rules", "routes"):
        marks, tables = _marks(state, expected), _tables_into_tunnel(state, expected)
        looping = [rule for rule in state.rules if _leads_into_tunnel(rule, tables) and _takes(rule, marks)]
        verify(
            not looping,
            where=Place.of_node(state.node),
            expected=f"no rule for outer packets (mark {', '.join(map(hex, sorted(marks)))}) into the tunnel",
            seen=_rules(looping),
            meaning="Encrypted packets would be encrypted again without end, and none would leave the node.",
        )


def _addresses(node: str, nodes: Sequence[Node], pods: Sequence[Pod]) -> list[IPAddress]:
    """The addresses of all other nodes and their pods."""
    found: list[IPAddress] = [ip for peer in nodes if peer.name != node for ip in peer.addresses]
    return found + [ip for pod in pods if pod.node != node for ip in pod.addresses]


Numbers = Mapping[int, list[int]]
"""IP version → addresses of it, sorted, as numbers."""


class _Elsewhere:
    """The addresses of all nodes and pods, without those of one node alone; sorted once, not for each node."""

    def __init__(self, nodes: Sequence[Node], pods: Sequence[Pod]) -> None:
        owners: dict[IPAddress, set[str]] = {}
        for name, addresses in (*((n.name, n.addresses) for n in nodes), *((pod.node, pod.addresses) for pod in pods)):
            for ip in addresses:
                owners.setdefault(ip, set()).add(name)
        self._all = {v: sorted(int(ip) for ip in owners if ip.version == v) for v in (4, 6)}
        self._own: dict[str, dict[int, set[int]]] = {}
        for ip, names in owners.items():
            if len(names) == 1:
                self._own.setdefault(min(names), {4: set(), 6: set()})[ip.version].add(int(ip))

    def numbers(self, node: str) -> Numbers:
        """The addresses that are elsewhere as seen from a node."""
        found = {version: every.copy() for version, every in self._all.items()}
        for version, numbers in self._own.get(node, {}).items():
            for number in numbers:
                del found[version][bisect_left(found[version], number)]
        return found


def _leading_out(state: NodeState, family: IPFamily, addresses: Numbers) -> list[str]:
    """The native devices by which the main table sends to these addresses: of a family, or of any where it has none.

    In a tunnel IPv6 leaves in IPv4 packets; and a network card that leads to no other node needs no redirect, such as
    one with the default route where more specific routes lead to all nodes and pods by another card.
    """
    native = [device.name for device in state.native_devices]
    main = [route for route in state.routes if route.table == "main"]
    for routes in ([it for it in main if it.family is family], [it for it in main if it.family is not family]):
        found = set[str]()
        for route in _taken(routes, addresses):
            if route.device in native:
                found.add(route.device)
            if len(found) == len(native):
                break  # there is no other to be found, and there are as many routes as nodes
        if found:
            return [name for name in native if name in found]
    return []


def _taken(routes: Iterable[Route], left: Numbers) -> Iterator[Route]:
    """The routes of one table that are the most specific ones to one of these addresses, which are used up."""
    by_length: dict[int, list[Route]] = {}
    for route in routes:
        by_length.setdefault(route.destination.prefixlen, []).append(route)
    for _, alike in sorted(by_length.items(), reverse=True):
        led = list[IPNetwork]()
        for route in alike:
            first, behind = _within(route.destination, left)
            if first < behind:
                led.append(route.destination)
                yield route
        for network in led:  # what is as long is the same network, or another
            first, behind = _within(network, left)
            del left[network.version][first:behind]


def _within(network: IPNetwork, numbers: Numbers) -> tuple[int, int]:
    """Where the addresses of a network begin and end."""
    values = numbers[network.version]
    return bisect_left(values, int(network.network_address)), bisect_right(values, int(network.broadcast_address))


def _is_ours(redirect: Redirect, expected: Expectations) -> bool:
    wanted = expected.redirect_program if redirect.means == "bpf" else expected.device_name
    return redirect.program == wanted


def _marks(state: NodeState, expected: Expectations) -> frozenset[int]:
    """The mark of outer packets: the device's own, else the version's."""
    if state.wireguard is not None and state.wireguard.fwmark is not None:
        return frozenset({state.wireguard.fwmark})
    return expected.fwmarks or frozenset({0})


def _tables_into_tunnel(state: NodeState, expected: Expectations) -> frozenset[str]:
    """The tables with a default route by Cilium's device."""
    ours = (route for route in (*state.routes, *state.other_routes) if route.device == expected.device_name)
    return frozenset(route.table for route in ours if route.destination.prefixlen == 0)


def _leads_into_tunnel(rule: Rule, tables: frozenset[str]) -> bool:
    """Whether a rule's table leads into the tunnel, or the rule is Cilium's, which fills its table."""
    return (rule.table == TABLE and rule.fwmark == CILIUM_MARK) or rule.table in tables


def _takes(rule: Rule, marks: Iterable[int]) -> bool:
    if rule.fwmark is None:
        return True
    mask = 0xFFFFFFFF if rule.fwmask is None else rule.fwmask
    return any(mark & mask == rule.fwmark & mask for mark in marks)


def _rule(rule: Rule) -> str:
    mark = (
        ""
        if rule.fwmark is None
        else f" fwmark {rule.fwmark:#x}/{0xFFFFFFFF if rule.fwmask is None else rule.fwmask:#x}"
    )
    conditions = "".join(f" {condition}" for condition in rule.conditions)
    return f"{rule.priority}: from {rule.source}{mark}{conditions} lookup {rule.table}"


def _rules(rules: Sequence[Rule]) -> str:
    return ", ".join(f"`{_rule(rule)}`" for rule in rules) or "no such rule"
