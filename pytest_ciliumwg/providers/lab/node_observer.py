"""Looking at one node: a single script prints all there is, and the parsers of `observe` read it."""

from __future__ import annotations

import shlex

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.node_state import Link, NodeState, Peer, Redirect, Route, Rule, WireGuardDevice
from pytest_ciliumwg.observe.iproute import links_from_ip, routes_from_ip, rules_from_ip
from pytest_ciliumwg.observe.sections import SHOW, Reader
from pytest_ciliumwg.observe.tc import redirects_from_tc
from pytest_ciliumwg.observe.wireguard import WG_SHOW_SCRIPT, wireguard_from_show
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

TABLES = ("main", "201")


def observe_node(lab: Lab, node: LabNode) -> NodeState:
    """Observe a node.

    Raises:
        ProviderError: the lab has ended.
    """
    reader = Reader(lab.run_in(node, observation_script(lab)))
    no_links: tuple[Link, ...] = ()
    links = reader.read("native_devices", lambda: links_from_ip(reader.section("links").good()), no_links)
    by_name = {link.name: link for link in links}
    link = by_name.get(lab.device)
    if not links:
        reader.unread["link"] = reader.unread["native_devices"]
    device, peers = reader.read("wireguard", lambda: _wireguard(reader, link), _NO_WIREGUARD)
    if "wireguard" in reader.unread:
        reader.unread["peers"] = reader.unread["wireguard"]
    return NodeState(
        node=node.name,
        observed_at=reader.read("observed_at", lambda: float(reader.section("clock").good()), 0.0),
        link=link,
        wireguard=device,
        peers=peers,
        rules=reader.read("rules", lambda: _rules(lab, reader), ()),
        routes=reader.read("routes", lambda: _routes(lab, reader), ()),
        redirects=reader.read("redirects", lambda: _redirects(lab, reader), ()),
        native_devices=tuple(by_name[name] for name in lab.spec.devices if name in by_name),
        rp_filter=reader.read("rp_filter", lambda: _rp_filter(reader, link), None),
        unread=reader.unread,
    )


_NO_WIREGUARD: tuple[WireGuardDevice | None, tuple[Peer, ...]] = (None, ())


def observation_script(lab: Lab) -> str:
    """The script that prints everything of one node."""
    lines = [SHOW, "show clock date +%s.%N", "show links ip -j -d addr show"]
    for family in lab.families:
        flag = _flag(family)
        lines.append(f"show rules{flag} ip -j {flag} rule show")
        lines += [f"show routes{flag}-{table} ip -j {flag} route show table {table}" for table in TABLES]
    lines += [f"show tc-{device} tc -j filter show dev {device} egress" for device in lab.spec.devices]
    lines.append(f"show rp_filter cat /proc/sys/net/ipv4/conf/{lab.device}/rp_filter")
    lines.append(f"show wireguard sh -c {shlex.quote(WG_SHOW_SCRIPT)}")
    return "\n".join([*lines, ""])


def _flag(family: IPFamily) -> str:
    return "-4" if family is IPFamily.V4 else "-6"


def _wireguard(reader: Reader, link: Link | None) -> tuple[WireGuardDevice | None, tuple[Peer, ...]]:
    # Without the device there is nothing to read, which is an observation and no failure.
    return _NO_WIREGUARD if link is None else wireguard_from_show(reader.section("wireguard").good())


def _rules(lab: Lab, reader: Reader) -> tuple[Rule, ...]:
    return tuple(
        rule
        for family in lab.families
        for rule in rules_from_ip(reader.section(f"rules{_flag(family)}").good(), family)
    )


def _routes(lab: Lab, reader: Reader) -> tuple[Route, ...]:
    found: list[Route] = []
    for family in lab.families:
        for table in TABLES:
            shown = reader.section(f"routes{_flag(family)}-{table}")
            found += routes_from_ip(shown.output, family, table, status=shown.status, stderr=shown.stderr)
    return tuple(found)


def _redirects(lab: Lab, reader: Reader) -> tuple[Redirect, ...]:
    return tuple(
        redirect
        for device in lab.spec.devices
        for redirect in redirects_from_tc(reader.section(f"tc-{device}").good(), device, "egress")
    )


def _rp_filter(reader: Reader, link: Link | None) -> int | None:
    return None if link is None else int(reader.section("rp_filter").good())
