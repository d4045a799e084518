"""One node from the inside, out of the outputs that an archive of cilium-bugtool has of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Node, sorted_families
from pytest_ciliumwg.model.node_state import Link, NodeState, Peer, Redirect, Route, Rule, WireGuardDevice
from pytest_ciliumwg.observe.cilium import known_nodes_from_agent, wireguard_from_debuginfo
from pytest_ciliumwg.observe.debuginfo import selected_from_debuginfo
from pytest_ciliumwg.observe.iproute_text import links_from_text, routes_from_text, rules_from_text
from pytest_ciliumwg.observe.json_reader import number
from pytest_ciliumwg.observe.node_observer import NO_WIREGUARD, TABLES
from pytest_ciliumwg.observe.tc import redirects_from_bpftool_text, redirects_from_tc_text
from pytest_ciliumwg.observe.wireguard import DEVICE, fwmark_from_wg
from pytest_ciliumwg.providers.existing.native_devices import native_devices_of
from pytest_ciliumwg.providers.offline.gaps import no_output

T = TypeVar("T")
_FLAGS = {IPFamily.V4: "-4", IPFamily.V6: "-6"}
_TABLE = re.compile(r"ip -(?P<family>[46]) route show table (?P<table>\d+)")
_TC = re.compile(r"tc filter show dev (?P<device>\S+) egress")


class NodeOutputs:
    """What was printed on one node."""

    def __init__(self, node: str, outputs: Mapping[str, str], observed_at: float) -> None:
        self._node = node
        self._outputs = outputs
        self._observed_at = observed_at
        self._unread: dict[str, str] = {}

    def state(self, node: Node, others: Iterable[Node], families: Iterable[IPFamily]) -> NodeState:
        """The state; what the outputs do not tell is named in `unread`."""
        order = sorted_families(families)
        no_links: tuple[Link, ...] = ()
        no_routes: tuple[Route, ...] = ()
        links = self._read("link", self._links, no_links)
        routes = self._read("routes", lambda: self._routes(order), no_routes)
        wireguard, peers = self._read("wireguard", self._wireguard, NO_WIREGUARD)
        if "wireguard" in self._unread:
            self._unread["peers"] = self._unread["wireguard"]
        return NodeState(
            node=self._node,
            observed_at=self._observed_at,
            link=next((link for link in links if link.name == DEVICE), None),
            wireguard=self._with_fwmark(wireguard),
            peers=peers,
            rules=self._read("rules", lambda: self._rules(order), ()),
            routes=routes,
            other_routes=self._read("other_routes", lambda: self._other_routes(order), no_routes),
            redirects=self._read("redirects", self._redirects, ()),
            native_devices=self._read("native_devices", lambda: self._native(node, others, links, routes), no_links),
            devices=links,
            selected=self._read("selected", lambda: selected_from_debuginfo(self._output("debuginfo")), None),
            known_nodes=self._known_nodes(),
            rp_filter=self._read("rp_filter", lambda: self._rp_filter(links), None),
            macs=frozenset(link.mac for link in links if link.mac),
            unread=self._unread,
        )

    def _output(self, command: str) -> str:
        if command not in self._outputs:
            raise ObservationError(no_output(self._node, command))
        return self._outputs[command]

    def _read(self, field: str, parse: Callable[[], T], otherwise: T) -> T:
        try:
            return parse()
        except ObservationError as error:
            self._unread[field] = str(error)
            return otherwise

    def _links(self) -> tuple[Link, ...]:
        return links_from_text(self._output("ip a"), self._output("ip -d -s -s l"))

    def _wireguard(self) -> tuple[WireGuardDevice | None, tuple[Peer, ...]]:
        return wireguard_from_debuginfo(self._output("debuginfo")) or NO_WIREGUARD

    def _with_fwmark(self, device: WireGuardDevice | None) -> WireGuardDevice | None:
        """The device with its mark, which `debuginfo` does not tell."""
        if device is None:
            self._unread["fwmark"] = self._unread.get("wireguard", "there is no device")
            return None
        mark = self._read("fwmark", lambda: fwmark_from_wg(self._output(f"wg show {DEVICE} fwmark")), None)
        return WireGuardDevice(
            name=device.name, public_key=device.public_key, listen_port=device.listen_port, fwmark=mark
        )

    def _rules(self, families: Sequence[IPFamily]) -> tuple[Rule, ...]:
        commands = {IPFamily.V4: "ip -d rule", IPFamily.V6: "ip -6 -d rule"}
        return tuple(rule for family in families for rule in rules_from_text(self._output(commands[family]), family))

    def _routes(self, families: Sequence[IPFamily]) -> tuple[Route, ...]:
        found: list[Route] = []
        for family in families:
            found += routes_from_text(self._output(f"ip {_FLAGS[family]} r"), family, "main")
            found += [route for route in self._numbered(family) if route.table in TABLES]
        return tuple(found)

    def _other_routes(self, families: Sequence[IPFamily]) -> tuple[Route, ...]:
        return tuple(route for family in families for route in self._numbered(family) if route.table not in TABLES)

    def _numbered(self, family: IPFamily) -> tuple[Route, ...]:
        """The routes of all tables with numbers; where there are none, cilium-bugtool lists the main table instead."""
        tables = [found for found in map(_TABLE.fullmatch, self._outputs) if found]
        if not tables:
            self._output(f"ip {_FLAGS[family]} route show")
        own = [found for found in tables if f"-{found['family']}" == _FLAGS[family]]
        return tuple(
            route for found in own for route in routes_from_text(self._outputs[found[0]], family, found["table"])
        )

    def _redirects(self) -> tuple[Redirect, ...]:
        """What bpftool shows; tc, which does not know the newer way to attach (tcx), only where there is no bpftool."""
        try:
            return redirects_from_bpftool_text(self._output("bpftool net show"))
        except ObservationError as error:
            shown: list[Redirect] = []
            for found in filter(None, map(_TC.fullmatch, self._outputs)):
                shown += redirects_from_tc_text(self._outputs[found[0]], found["device"], "egress")
            if not shown:
                raise ObservationError(f"{error}; and tc shows no program, but it cannot show all") from None
            return tuple(shown)

    def _native(
        self, node: Node, others: Iterable[Node], links: Sequence[Link], routes: Sequence[Route]
    ) -> tuple[Link, ...]:
        for needed in ("link", "routes"):
            if needed in self._unread:
                raise ObservationError(self._unread[needed])
        return native_devices_of(node, others, links, routes)

    def _known_nodes(self) -> Mapping[IPAddress, str] | None:
        try:
            return known_nodes_from_agent(self._output("node list -o json"))
        except ObservationError:
            return None  # there are other marks of a peer of another cluster

    def _rp_filter(self, links: Sequence[Link]) -> int | None:
        if links and all(link.name != DEVICE for link in links):
            return None  # without the device there is nothing to read
        name = f"net.ipv4.conf.{DEVICE}.rp_filter"
        command = "sysctl -a" if "sysctl -a" in self._outputs else f"sysctl {name}"
        for line in self._output(command).splitlines():
            key, _, value = line.partition("=")
            if key.strip() == name:
                return number(value.strip(), f"the output of `{command}`")
        raise ObservationError(no_output(self._node, f"sysctl {name}"))
