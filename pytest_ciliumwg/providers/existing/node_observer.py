"""Looking at a node through the Cilium agent's container, which is in the node's network namespace."""

from __future__ import annotations

import time
from collections.abc import Iterable

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPFamily, Node, sorted_families
from pytest_ciliumwg.model.node_state import Link, NodeState, Peer, Redirect, Route, Rule, WireGuardDevice
from pytest_ciliumwg.observe.cilium import wireguard_from_debuginfo
from pytest_ciliumwg.observe.iproute import links_from_ip, routes_from_ip, rules_from_ip
from pytest_ciliumwg.observe.json_reader import number
from pytest_ciliumwg.observe.sections import SHOW, Reader
from pytest_ciliumwg.observe.tc import redirects_from_bpftool, redirects_from_tc
from pytest_ciliumwg.observe.wireguard import DEVICE
from pytest_ciliumwg.providers.existing.native_devices import native_devices

TABLES = ("main", "201")
FIELDS = ("link", "wireguard", "peers", "rules", "routes", "redirects", "native_devices", "rp_filter", "fwmark")
_NO_FWMARK = "the agent's `debuginfo` does not tell the device's firewall mark"
_NO_WIREGUARD: tuple[WireGuardDevice | None, tuple[Peer, ...]] = (None, ())

AGENT_TOOL = """
agent() {
    for tool in cilium-dbg cilium; do
        if command -v $tool >/dev/null 2>&1; then $tool "$@"; return; fi
    done
    echo "the agent's container has neither cilium-dbg nor cilium" >&2; return 127
}
"""
"""Defines `agent`, the agent's own tool: `cilium` up to 1.14, later `cilium-dbg`."""

_TC = """
filters() {
    for device in /sys/class/net/*; do
        echo "== ${device##*/}"
        tc -j filter show dev "${device##*/}" egress || return
    done
}
"""


def observation_script(families: Iterable[IPFamily]) -> str:
    """The script that prints everything of one node; it changes nothing and leaves nothing."""
    lines = [SHOW, AGENT_TOOL, _TC, "show clock date +%s.%N", "show links ip -j -d addr show"]
    for family in sorted_families(families):
        flag = _flag(family)
        lines.append(f"show rules{flag} ip -j {flag} rule show")
        lines += [f"show routes{flag}-{table} ip -j {flag} route show table {table}" for table in TABLES]
    lines.append("show bpftool bpftool -j net show")
    lines.append("show tc filters")
    lines.append(f"show rp_filter cat /proc/sys/net/ipv4/conf/{DEVICE}/rp_filter")
    lines.append("show debuginfo agent debuginfo --output json")
    return "\n".join([*lines, "exit 0", ""])


def state_from(text: str, node: Node, others: Iterable[Node], families: Iterable[IPFamily]) -> NodeState:
    """What the script's output says of a node; what it does not say is named in `unread`."""
    order = sorted_families(families)
    reader = Reader(text)
    no_links: tuple[Link, ...] = ()
    no_routes: tuple[Route, ...] = ()
    links = reader.read("link", lambda: links_from_ip(reader.section("links").good()), no_links)
    link = next((one for one in links if one.name == DEVICE), None)
    device, peers = reader.read("wireguard", lambda: _wireguard(reader), _NO_WIREGUARD)
    if "wireguard" in reader.unread:
        reader.unread["peers"] = reader.unread["wireguard"]
    if device is None or device.fwmark is None:
        reader.unread["fwmark"] = reader.unread.get("wireguard", _NO_FWMARK)
    routes = reader.read("routes", lambda: _routes(reader, order), no_routes)
    natives = reader.read("native_devices", lambda: _natives(reader, links, routes, node, others), no_links)
    return NodeState(
        node=node.name,
        observed_at=reader.read("observed_at", lambda: _clock(reader), time.time()),
        link=link,
        wireguard=device,
        peers=peers,
        rules=reader.read("rules", lambda: _rules(reader, order), ()),
        routes=routes,
        redirects=reader.read("redirects", lambda: _redirects(reader), ()),
        native_devices=natives,
        rp_filter=reader.read("rp_filter", lambda: _rp_filter(reader, link, links), None),
        unread=reader.unread,
    )


def unseen(node: str, why: str) -> NodeState:
    """The state of a node that could not be looked at: nothing is known, and every field says why."""
    return NodeState(
        node=node,
        observed_at=time.time(),
        link=None,
        wireguard=None,
        peers=(),
        rules=(),
        routes=(),
        redirects=(),
        native_devices=(),
        rp_filter=None,
        unread=dict.fromkeys(FIELDS, why),
    )


def _clock(reader: Reader) -> float:
    text = reader.section("clock").good()
    try:
        return float(text.removesuffix(".%N"))
    except ValueError:
        raise ObservationError(f"the output of `date +%s.%N` is {text[:40]!r}, which is no time") from None


def _flag(family: IPFamily) -> str:
    return "-4" if family is IPFamily.V4 else "-6"


def _wireguard(reader: Reader) -> tuple[WireGuardDevice | None, tuple[Peer, ...]]:
    return wireguard_from_debuginfo(reader.section("debuginfo").good()) or _NO_WIREGUARD


def _rules(reader: Reader, families: Iterable[IPFamily]) -> tuple[Rule, ...]:
    return tuple(
        rule for family in families for rule in rules_from_ip(reader.section(f"rules{_flag(family)}").good(), family)
    )


def _routes(reader: Reader, families: Iterable[IPFamily]) -> tuple[Route, ...]:
    found: list[Route] = []
    for family in families:
        for table in TABLES:
            shown = reader.section(f"routes{_flag(family)}-{table}")
            found += routes_from_ip(shown.output, family, table, status=shown.status, stderr=shown.stderr)
    return tuple(found)


def _redirects(reader: Reader) -> tuple[Redirect, ...]:
    """What bpftool shows; tc, which does not know the newer way to attach (tcx), only where there is no bpftool."""
    try:
        return redirects_from_bpftool(reader.section("bpftool").good())
    except ObservationError as error:
        shown = _tc_redirects(reader.section("tc").good())
        if not shown:
            raise ObservationError(f"bpftool: {error}; and tc shows no program, but it cannot show all") from None
        return shown


def _tc_redirects(text: str) -> tuple[Redirect, ...]:
    found: list[Redirect] = []
    for part in text.split("== ")[1:]:
        device, _, shown = part.partition("\n")
        found += redirects_from_tc(shown, device, "egress") if shown.strip() else ()
    return tuple(found)


def _natives(
    reader: Reader, links: tuple[Link, ...], routes: tuple[Route, ...], node: Node, others: Iterable[Node]
) -> tuple[Link, ...]:
    for needed in ("link", "routes"):
        if needed in reader.unread:
            raise ObservationError(reader.unread[needed])
    peers = tuple(others)
    addresses = [ip for peer in peers for ip in peer.addresses]
    pod_cidrs = [cidr for peer in peers for cidr in peer.pod_cidrs]
    found = native_devices(links, routes, node.tunnel_addresses, addresses, pod_cidrs)
    if not found:
        raise ObservationError(f"no device of {node.name} has its addresses, leads to another node or is physical")
    return found


def _rp_filter(reader: Reader, link: Link | None, links: tuple[Link, ...]) -> int | None:
    if link is None and links:
        return None  # without the device there is nothing to read, which is an observation and no failure
    return number(reader.section("rp_filter").good(), f"rp_filter of {DEVICE}")
