"""Look at a node: one script prints all there is, and one reader makes a state of it, wherever the script ran.

What differs between a lab and a cluster (how WireGuard and the programs at tc hooks are asked) is added by the
provider: more lines of the script, and readers for what they print.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, sorted_families
from pytest_ciliumwg.model.node_state import Link, NodeState, Peer, Redirect, Route, Rule, WireGuardDevice
from pytest_ciliumwg.observe.iproute import ALL_TABLES, links_from_ip, routes_from_ip, rules_from_ip
from pytest_ciliumwg.observe.json_reader import number
from pytest_ciliumwg.observe.sections import SHOW, Reader

TABLES = ("main", "201")
NO_WIREGUARD: tuple[WireGuardDevice | None, tuple[Peer, ...]] = (None, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """How a provider reads what is not the same everywhere; each may raise ObservationError."""

    wireguard: Callable[[Reader, Link | None], tuple[WireGuardDevice | None, tuple[Peer, ...]]]
    redirects: Callable[[Reader], tuple[Redirect, ...]]
    native_devices: Callable[[Reader, Sequence[Link], Sequence[Route]], tuple[Link, ...]]
    selected: Callable[[Reader], tuple[str, ...] | None]
    known_nodes: Callable[[Reader], Mapping[IPAddress, str] | None] = lambda _: None


def observation_script(families: Iterable[IPFamily], device: str, more: Sequence[str] = (), before: str = "") -> str:
    """The script that prints everything of one node; it changes nothing and leaves nothing.

    Args:
        families: The IP families that the node has.
        device: The WireGuard device.
        more: Lines `show NAME COMMAND…` for what only this provider asks.
        before: Definitions that these lines need.
    """
    lines = [SHOW, before, "show clock date +%s.%N", "show links ip -j -d addr show"]
    for family in sorted_families(families):
        flag = _flag(family)
        lines.append(f"show rules{flag} ip -j {flag} rule show")
        lines += [f"show routes{flag}-{table} ip -j {flag} route show table {table}" for table in (*TABLES, ALL_TABLES)]
    lines.append(f"show rp_filter cat /proc/sys/net/ipv4/conf/{device}/rp_filter")
    return "\n".join([*lines, *more, "exit 0", ""])


def state_from(reader: Reader, node: str, device: str, families: Iterable[IPFamily], parts: NodeParts) -> NodeState:
    """What the script's output says of a node; what it does not say is named in `unread`."""
    order = sorted_families(families)
    no_links: tuple[Link, ...] = ()
    no_routes: tuple[Route, ...] = ()
    links = reader.read("link", lambda: links_from_ip(reader.section("links").good()), no_links)
    link = next((candidate for candidate in links if candidate.name == device), None)
    wireguard, peers = reader.read("wireguard", lambda: parts.wireguard(reader, link), NO_WIREGUARD)
    if "wireguard" in reader.unread:
        reader.unread["peers"] = reader.unread["wireguard"]
    routes = reader.read("routes", lambda: _routes(reader, order), no_routes)
    return NodeState(
        node=node,
        observed_at=reader.read("observed_at", lambda: _clock(reader), time.time()),
        link=link,
        wireguard=wireguard,
        peers=peers,
        rules=reader.read("rules", lambda: _rules(reader, order), ()),
        routes=routes,
        other_routes=reader.read("other_routes", lambda: _other_routes(reader, order), no_routes),
        redirects=reader.read("redirects", lambda: parts.redirects(reader), ()),
        native_devices=reader.read("native_devices", lambda: parts.native_devices(reader, links, routes), ()),
        devices=links,
        known_nodes=parts.known_nodes(reader),
        selected=reader.read("selected", lambda: parts.selected(reader), None),
        rp_filter=reader.read("rp_filter", lambda: _rp_filter(reader, device, link, links), None),
        macs=frozenset(link.mac for link in links if link.mac),
        unread=reader.unread,
    )


def require(reader: Reader, *fields: str) -> None:
    """Refuse to conclude anything from fields that could not be read.

    Raises:
        ObservationError: one of them could not; with its reason.
    """
    for field in fields:
        if field in reader.unread:
            raise ObservationError(reader.unread[field])


def _flag(family: IPFamily) -> str:
    return "-4" if family is IPFamily.V4 else "-6"


def _clock(reader: Reader) -> float:
    text = reader.section("clock").good()
    try:
        return float(text.removesuffix(".%N"))  # busybox does not know %N
    except ValueError:
        raise ObservationError(f"the output of `date +%s.%N` is {text[:40]!r}, which is no time") from None


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


def _other_routes(reader: Reader, families: Iterable[IPFamily]) -> tuple[Route, ...]:
    found: list[Route] = []
    for family in families:
        shown = reader.section(f"routes{_flag(family)}-{ALL_TABLES}").good()
        found += routes_from_ip(shown, family, ALL_TABLES, without=(*TABLES, "local"))
    return tuple(found)


def _rp_filter(reader: Reader, device: str, link: Link | None, links: Sequence[Link]) -> int | None:
    if link is None and links:
        return None  # without the device there is nothing to read, which is an observation and no failure
    return number(reader.section("rp_filter").good(), f"rp_filter of {device}")
