"""`ip -j`: devices, policy rules and routes of one node."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterator
from ipaddress import IPv4Interface, IPv6Interface

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, IPNetwork
from pytest_ciliumwg.model.node_state import Link, Route, Rule
from pytest_ciliumwg.observe.json_reader import Value, decode
from pytest_ciliumwg.observe.once import Once

WHOLE_MARK = 0xFFFFFFFF
"""The mask of a rule that shows a mark without one."""

DEFAULT = {IPFamily.V4: ipaddress.ip_network("0.0.0.0/0"), IPFamily.V6: ipaddress.ip_network("::/0")}
_NO_TABLE = "FIB table does not exist"
DEAD_ENDS = frozenset({"unreachable", "blackhole", "prohibit", "throw"})
_RULE_PARTS = frozenset(
    {"priority", "src", "srclen", "fwmark", "fwmask", "table", "protocol", "action", "goto", "nop", "unresolved"}
)
"""The members of a rule that the model has fields for, or that are no condition."""


def links_from_ip(text: str) -> tuple[Link, ...]:
    """Read `ip -j -d addr show` (or `ip -j -d link show`, which has no addresses).

    Without `-d` the kind of every device is empty.

    Raises:
        ObservationError: the output is not that, is cut off, or shows not a single device.
    """
    document = decode(text, "the output of `ip -j -d addr show`")
    # Some releases of iproute2 print an empty object for each device that a filter leaves out.
    links = tuple(_link(entry) for entry in document.items() if entry.mapping())
    if not links:
        message = "shows no device at all"
        raise document.wrong(message)
    return links


def _link(entry: Value) -> Link:
    info = entry.get("linkinfo")
    kind = info.get("info_kind") if info is not None else None
    has_mac = (layer := entry.get("link_type")) is not None and layer.text() == "ether"
    return Link(
        name=entry["ifname"].text(),
        index=entry["ifindex"].integer(),
        kind=kind.text() if kind is not None else "",
        flags=frozenset(flag.text() for flag in entry["flags"].items()),
        mtu=entry["mtu"].integer(),
        addresses=tuple(_interface(address) for address in entry.each("addr_info") if address.mapping()),
        mac=entry["address"].text() if has_mac else "",
    )


def _interface(entry: Value) -> IPv4Interface | IPv6Interface:
    local, length = entry["local"], entry["prefixlen"].integer()
    try:
        return ipaddress.ip_interface((str(local.address()), length))
    except ValueError as error:
        message = "has an address with an impossible prefix length"
        raise local.wrong(message) from error


def rules_from_ip(text: str, family: IPFamily) -> tuple[Rule, ...]:
    """Read `ip -j rule show` or `ip -j -6 rule show`.

    Raises:
        ObservationError: the output is not that, is cut off, or shows not a single rule, which no node lacks.
    """
    flag = "-4" if family is IPFamily.V4 else "-6"
    document = decode(text, f"the output of `ip -j {flag} rule show`")
    rules = tuple(_rule(entry, family) for entry in document.items())
    if not rules:
        message = "shows no rule at all, though the kernel always has some"
        raise document.wrong(message)
    return rules


def _rule(entry: Value, family: IPFamily) -> Rule:
    table, mark, mask, length = (entry.get(key) for key in ("table", "fwmark", "fwmask", "srclen"))
    source = entry["src"].text()
    return Rule(
        family=family,
        priority=entry["priority"].integer(),
        table=table.text() if table is not None else "",
        fwmark=None if mark is None else mark.integer(),
        fwmask=None if mark is None else (WHOLE_MARK if mask is None else mask.integer()),
        source=f"{source}/{length.integer()}" if length is not None else source,
        conditions=_conditions(entry),
    )


def _conditions(entry: Value) -> tuple[str, ...]:
    """What else the rule depends on: `not`, `to`, `iif` and the like, which iproute2 prints as flags or members."""
    return tuple(
        key if value is None else f"{key} {value}"
        for key, value in sorted(entry.mapping().items())
        if key not in _RULE_PARTS
    )


ALL_TABLES = "all"
_READ = Once[tuple[Route, ...]](most=4096)


def routes_from_ip(
    text: str, family: IPFamily, table: str, *, status: int = 0, stderr: str = "", without: Collection[str] = ()
) -> tuple[Route, ...]:
    """Read `ip -j -4 route show table T` or `ip -j -6 …`; a route with several next hops becomes one route for each.

    Args:
        text: Standard output.
        family: The family that was asked for.
        table: The table that was asked for; with ALL_TABLES each route says of which it is.
        status: The exit status.
        stderr: Standard error. A table that does not exist has no routes; any other failure is an error.
        without: Tables whose routes are not wanted with ALL_TABLES.

    Raises:
        ObservationError: the command failed, or its output is cut off or something else.
    """
    command = f"`ip -j {'-4' if family is IPFamily.V4 else '-6'} route show table {table}`"
    if status != 0:
        # iproute2 has printed the opening bracket by then, so there is nothing in its output to look at.
        if _NO_TABLE in stderr:
            return ()
        reason = " ".join(stderr.split()) or "no message"
        message = f"{command} failed with exit status {status}: {reason}"
        raise ObservationError(message)

    def read() -> tuple[Route, ...]:
        document = decode(text, f"the output of {command}")
        wanted = (entry for entry in document.items() if table != ALL_TABLES or _table(entry) not in without)
        known = _ROUTES[family, table]
        return tuple(route for entry in wanted for route in _routes(entry, family, table, known))

    return _READ.of(text, (family, table, *without), read)


_Known = dict[str, tuple[Route, ...]]
_ROUTES: dict[tuple[IPFamily, str], _Known] = defaultdict(dict)
"""Family and table → what entries tell: many nodes have the same routes to others."""
_MOST_ROUTES = 1 << 16


def _routes(entry: Value, family: IPFamily, table: str, known: _Known) -> tuple[Route, ...]:
    told = repr(entry.mapping())
    if (found := known.get(told)) is None:
        if len(known) >= _MOST_ROUTES:
            known.clear()
        found = known[told] = tuple(_read(entry, family, table))
    return found


def _read(entry: Value, family: IPFamily, table: str) -> Iterator[Route]:
    kind = entry.get("type")
    dead_end = kind is not None and kind.text() in DEAD_ENDS
    for hop in list(entry.each("nexthops")) or [entry]:
        device = hop.get("dev")
        yield Route(
            family=family,
            table=_table(entry) if table == ALL_TABLES else table,
            destination=_destination(entry["dst"], family),
            # IPv6 shows `lo` for a route that leads nowhere.
            device=None if device is None or dead_end else device.text(),
            gateway=_gateway(hop),
            mtu=_mtu(entry),
        )


def _table(entry: Value) -> str:
    return "main" if entry.mapping().get("table") is None else entry["table"].text()


def _destination(value: Value, family: IPFamily) -> IPNetwork:
    if value.text() == "default":
        return DEFAULT[family]
    found = value.network()
    if IPFamily.of(found) is not family:
        message = f"shows a route that is not of the family {family.value}"
        raise value.wrong(message)
    return found


def _gateway(hop: Value) -> IPAddress | None:
    gateway, via = hop.get("gateway"), hop.get("via")
    if gateway is not None:
        return gateway.address()
    return via["host"].address() if via is not None else None


def _mtu(entry: Value) -> int | None:
    for metrics in entry.each("metrics"):
        mtu = metrics.get("mtu")
        if mtu is not None:
            return mtu.integer()
    return None
