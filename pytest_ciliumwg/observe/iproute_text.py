"""`ip` as plain text, as archives of others have it: devices, policy rules and routes of one node."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, IPNetwork
from pytest_ciliumwg.model.node_state import Link, Route, Rule
from pytest_ciliumwg.observe.iproute import DEAD_ENDS, DEFAULT, WHOLE_MARK
from pytest_ciliumwg.observe.json_reader import address, network, number

_LINKS = "the output of `ip addr`"
_DETAILS = "the output of `ip -d link`"
_RULES = "the output of `ip rule`"
_ROUTES = "the output of `ip route`"
_DEVICE = re.compile(r"(?P<index>\d+): (?P<name>[^\s@:]+)(?:@\S+)?: <(?P<flags>[A-Z0-9_,-]*)> mtu (?P<mtu>\d+) .*")
_LAYER = re.compile(r"\s+link/(?P<kind>\S+)(?: (?P<mac>[0-9a-f]{2}(?::[0-9a-f]{2}){5}))?(?: .*)?")
_ADDRESS = re.compile(r"\s+inet6? (?P<own>[0-9a-fA-F.:]+)(?: peer (?P<peer>[0-9a-fA-F.:]+))?/(?P<bits>\d+)(?: .*)?")
_NO_KINDS = frozenset({"RX", "TX", "RX:", "TX:", "alias", "altname"})
_RULE = re.compile(r"(?P<priority>\d+):\s+(?P<rest>.*\S)\s*")
_OF_RULE = frozenset({"proto", "protocol", "realms"})
"""Words of a rule that, with the one behind them, are no condition."""
_ACTIONS = frozenset({"unreachable", "blackhole", "prohibit", "nop", "unicast"})


def links_from_text(text: str, details: str | None) -> tuple[Link, ...]:
    """Read `ip addr`, and of `ip -d link` the kinds of the devices.

    Raises:
        ObservationError: an output is not that, is cut off, or shows not a single device.
    """
    links: list[Link] = []
    for line in text.splitlines():
        if head := _DEVICE.fullmatch(line):
            flags = frozenset(head["flags"].split(","))
            link = Link(name=head["name"], index=int(head["index"]), kind="", flags=flags, mtu=int(head["mtu"]))
            links.append(link)
        elif line and not line[0].isspace():
            raise ObservationError(f"{_LINKS} has a line that is cut off or unknown: {line[:80]!r}")
        elif links and (layer := _LAYER.fullmatch(line)) and layer["kind"] == "ether":
            links[-1] = replace(links[-1], mac=layer["mac"] or "")
        elif links and (own := _ADDRESS.fullmatch(line)):
            links[-1] = replace(links[-1], addresses=(*links[-1].addresses, _interface(own)))
    if not links:
        raise ObservationError(f"{_LINKS} shows no device at all")
    if details is None:
        return tuple(links)
    kinds = _kinds(details)
    missing = [link.name for link in links if link.name not in kinds]
    if missing:
        raise ObservationError(f"{_DETAILS} has no {missing[0]}, which `ip addr` shows")
    return tuple(replace(link, kind=kinds[link.name]) for link in links)


def _interface(own: re.Match[str]) -> IPv4Interface | IPv6Interface:
    try:
        return ipaddress.ip_interface(f"{own['own']}/{own['bits']}")
    except ValueError as error:
        raise ObservationError(f"{_LINKS} has an impossible address {own['own']}/{own['bits']}") from error


def _kinds(text: str) -> Mapping[str, str]:
    """Device → its rtnl kind: the first word of the line behind that of its link layer, which few devices have."""
    kinds: dict[str, str] = {}
    name, behind_layer = "", False
    for line in text.splitlines():
        head = _DEVICE.fullmatch(line)
        if head:
            name, behind_layer = head["name"], False
            kinds[name] = ""
        elif _LAYER.fullmatch(line):
            behind_layer = True
        elif behind_layer and name:
            behind_layer = False
            word = line.split(maxsplit=1)[0] if line.strip() else ""
            kinds[name] = "" if word in _NO_KINDS or not line.startswith("    ") else word
    return kinds


def rules_from_text(text: str, family: IPFamily) -> tuple[Rule, ...]:
    """Read `ip rule show` or `ip -6 rule show`, with `-d` or without.

    Raises:
        ObservationError: the output is not that, is cut off, or shows not a single rule, which no node lacks.
    """
    rules = tuple(_rule(line, family) for line in text.splitlines() if line.strip())
    if not rules:
        raise ObservationError(f"{_RULES} shows no rule at all, though the kernel always has some")
    return rules


def _rule(line: str, family: IPFamily) -> Rule:
    head = _RULE.fullmatch(line)
    if head is None:
        raise ObservationError(f"{_RULES} has a line that is cut off or unknown: {line[:80]!r}")
    table, source, conditions = "", "all", list[str]()
    mark = mask = None
    words = iter(head["rest"].split())
    for word in words:
        if word == "not":
            conditions.append("not")
            continue
        if word in _ACTIONS or word.startswith("["):
            continue
        value = next(words, None)
        if value is None:
            raise ObservationError(f"{_RULES} has a line that is cut off: {line[:80]!r}")
        if word == "from":
            source = value
        elif word in ("lookup", "table"):
            table = value
        elif word == "fwmark":
            text, _, masked = value.partition("/")
            mark, mask = number(text, _RULES), number(masked, _RULES) if masked else WHOLE_MARK
        elif word not in _OF_RULE:
            conditions.append(f"{word} {value}")
    return Rule(
        family=family,
        priority=int(head["priority"]),
        table=table,
        fwmark=mark,
        fwmask=mask,
        source=source,
        conditions=tuple(sorted(conditions)),
    )


def routes_from_text(text: str, family: IPFamily, table: str) -> tuple[Route, ...]:
    """Read `ip route show table T`; a route with several next hops becomes one route for each.

    Raises:
        ObservationError: a line is not understood, or cut off.
    """
    found: list[Route] = []
    head: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "nexthop":
            if not head:
                raise ObservationError(f"{_ROUTES} begins with a next hop, so it is cut off")
            found.append(_route([*head, *words[1:]], family, table, line))
            continue
        head = words
        if not line[0].isspace() and not _leads_to_hops(words):
            found.append(_route(words, family, table, line))
    return tuple(found)


def _leads_to_hops(words: list[str]) -> bool:
    """Whether its next hops are on the lines that follow."""
    return not ({"dev", "via"} & set(words)) and words[0] not in DEAD_ENDS


def _route(words: list[str], family: IPFamily, table: str, line: str) -> Route:
    dead_end = words[0] in DEAD_ENDS
    rest = iter(words[1:] if dead_end or words[0] in ("unicast", "local", "broadcast", "multicast") else words)
    target = next(rest, None)
    if target is None:
        raise ObservationError(f"{_ROUTES} has a line that is cut off: {line[:80]!r}")
    values = dict(_pairs(list(rest)))
    device = values.get("dev")
    return Route(
        family=family,
        table=table,
        destination=_destination(target, family),
        device=None if dead_end else device,
        gateway=_gateway(values),
        mtu=number(values["mtu"], _ROUTES) if "mtu" in values else None,
    )


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each word with the one behind it; `via inet6 ADDRESS` and `mtu lock N` with the one behind that."""
    for at, word in enumerate(words[:-1]):
        between = word in ("via", "mtu") and words[at + 1] in ("inet", "inet6", "lock")
        yield word, words[min(at + 1 + between, len(words) - 1)]


def _destination(text: str, family: IPFamily) -> IPNetwork:
    if text == "default":
        return DEFAULT[family]
    found = network(text, _ROUTES)
    if IPFamily.of(found) is not family:
        raise ObservationError(f"{_ROUTES} shows a route that is not of the family {family.value}")
    return found


def _gateway(values: Mapping[str, str]) -> IPAddress | None:
    return address(values["via"], _ROUTES) if "via" in values else None
