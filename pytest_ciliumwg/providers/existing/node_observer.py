"""What is asked of a node through the Cilium agent's container, which is in the node's network namespace."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Node
from pytest_ciliumwg.model.node_state import Link, NodeState, Redirect, Route
from pytest_ciliumwg.observe import node_observer
from pytest_ciliumwg.observe.cilium import known_nodes_from_agent, wireguard_in
from pytest_ciliumwg.observe.debuginfo import PLACE, selected_in
from pytest_ciliumwg.observe.json_reader import Value, decode
from pytest_ciliumwg.observe.node_observer import NO_WIREGUARD, NodeParts, require
from pytest_ciliumwg.observe.sections import Reader, section_text
from pytest_ciliumwg.observe.tc import redirects_from_bpftool, redirects_from_tc
from pytest_ciliumwg.observe.wireguard import DEVICE, fwmark_from_wg
from pytest_ciliumwg.providers.existing.agent_tool import AGENT_TOOL, ask_agent
from pytest_ciliumwg.providers.existing.agents_told import EXEC_SECONDS
from pytest_ciliumwg.providers.existing.native_devices import native_devices_of
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.remote import Place

FIELDS = (
    "link",
    "wireguard",
    "peers",
    "rules",
    "routes",
    "redirects",
    "native_devices",
    "rp_filter",
    "fwmark",
    "selected",
)
_NO_FWMARK = "the agent's `debuginfo` does not tell the device's firewall mark"

_TC = """
filters() {
    qdiscs=$(tc qdisc show) || return
    echo "$qdiscs" | while read -r _ kind _ _ device _; do
        [ "$kind" = clsact ] || continue  # no other has filters for what leaves
        echo "== $device"
        tc -j filter show dev "$device" egress || exit
    done
}
"""
_NODES = "show nodes agent node list -o json"
_SHOWN = (
    "show bpftool bpftool -j net show",
    "show tc filters",
    "show debuginfo agent debuginfo --output json",
    f"show fwmark wg show {DEVICE} fwmark",
)


def observation_script(families: Iterable[IPFamily], *, in_mesh: bool = False) -> str:
    """The script that prints everything of one node; it changes nothing and leaves nothing.

    Args:
        families: The IP families that the node has.
        in_mesh: Whether it has to tell which nodes of other clusters it knows.
    """
    shown = (*_SHOWN, _NODES) if in_mesh else _SHOWN
    return node_observer.observation_script(families, DEVICE, shown, before=AGENT_TOOL + _TC)


def debuginfo_section(kube: Kube, place: Place) -> str:
    """What Cilium's agent tells of itself, asked with its own tool alone.

    Raises:
        ProviderError: it cannot be asked.
    """
    done = ask_agent(kube, place, "debuginfo", "--output", "json", timeout=EXEC_SECONDS)
    return section_text("debuginfo", done.output, "" if done.status == 0 else done.complaint or "it failed")


def state_from(text: str, node: Node, others: Iterable[Node], families: Iterable[IPFamily]) -> NodeState:
    """What the script's output says of a node; what it does not say is named in `unread`."""
    reader, peers = Reader(text), tuple(others)

    def devices(reader: Reader, links: Sequence[Link], routes: Sequence[Route]) -> tuple[Link, ...]:
        require(reader, "link", "routes")
        return native_devices_of(node, peers, links, routes)

    @cache
    def told(reader: Reader) -> Value:
        return decode(reader.section("debuginfo").good(), PLACE)

    parts = NodeParts(
        # The agent tells of a device that it still has in mind, whether there is a link or not.
        wireguard=lambda reader, _: wireguard_in(told(reader)) or NO_WIREGUARD,
        redirects=_redirects,
        native_devices=devices,
        selected=lambda reader: selected_in(told(reader)),
        known_nodes=_known_nodes,
    )
    return _with_fwmark(node_observer.state_from(reader, node.name, DEVICE, families, parts), reader)


def _with_fwmark(state: NodeState, reader: Reader) -> NodeState:
    """The mark of the device, which `debuginfo` does not tell: where the agent's image has `wg`, that does."""
    if state.wireguard is None:
        return replace(state, unread={**state.unread, "fwmark": state.unread.get("wireguard", "there is no device")})
    try:
        mark = fwmark_from_wg(reader.section("fwmark").good())
    except ObservationError as error:
        return replace(state, unread={**state.unread, "fwmark": f"{_NO_FWMARK}; {error}"})
    return replace(state, wireguard=replace(state.wireguard, fwmark=mark))


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


def _known_nodes(reader: Reader) -> Mapping[IPAddress, str] | None:
    try:
        return known_nodes_from_agent(reader.section("nodes").good())
    except ObservationError:
        return None  # it was not asked, or does not tell: there are other marks of a peer of another cluster


def _redirects(reader: Reader) -> tuple[Redirect, ...]:
    """What bpftool shows; tc, which does not know the newer way to attach (tcx), only where there is no bpftool."""
    try:
        return redirects_from_bpftool(reader.section("bpftool").good())
    except ObservationError as error:
        try:
            shown = _tc_redirects(reader.section("tc").good())
        except ObservationError as other:
            raise ObservationError(f"{error}; {other}") from None
        if not shown:
            raise ObservationError(f"bpftool: {error}; and tc shows no program, but it cannot show all") from None
        return shown


def _tc_redirects(text: str) -> tuple[Redirect, ...]:
    found: list[Redirect] = []
    for part in text.split("== ")[1:]:
        device, _, shown = part.partition("\n")
        found += redirects_from_tc(shown, device, "egress") if shown.strip() else ()
    return tuple(found)
