"""What only a lab asks of a node: `wg`, run on the node itself, and tc for the redirects."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pytest_ciliumwg.model.node_state import Link, NodeState, Peer, Redirect, Route, WireGuardDevice
from pytest_ciliumwg.observe.node_observer import NO_WIREGUARD, NodeParts, observation_script, require, state_from
from pytest_ciliumwg.observe.sections import Reader
from pytest_ciliumwg.observe.tc import redirects_from_tc
from pytest_ciliumwg.observe.wireguard import WG_SHOW_SCRIPT, wireguard_from_show
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode


def observe_node(lab: Lab, node: LabNode) -> NodeState:
    """Observe a node.

    Raises:
        ProviderError: the lab has ended.
    """
    devices = lab.spec.devices

    def redirects(reader: Reader) -> tuple[Redirect, ...]:
        return tuple(
            redirect
            for device in devices
            for redirect in redirects_from_tc(reader.section(f"tc-{device}").good(), device, "egress")
        )

    def native_devices(reader: Reader, links: Sequence[Link], routes: Sequence[Route]) -> tuple[Link, ...]:
        del routes
        require(reader, "link")
        by_name = {link.name: link for link in links}
        return tuple(by_name[name] for name in devices if name in by_name)

    more = [f"show tc-{device} tc -j filter show dev {device} egress" for device in devices]
    more.append(f"show wireguard sh -c {shlex.quote(WG_SHOW_SCRIPT)}")
    parts = NodeParts(
        wireguard=_wireguard, redirects=redirects, native_devices=native_devices, selected=lambda _: devices
    )
    script = observation_script(lab.families, lab.device, more)
    return state_from(Reader(lab.run_in(node, script)), node.name, lab.device, lab.families, parts)


def _wireguard(reader: Reader, link: Link | None) -> tuple[WireGuardDevice | None, tuple[Peer, ...]]:
    # Without the device there is nothing to read, which is an observation and no failure.
    return NO_WIREGUARD if link is None else wireguard_from_show(reader.section("wireguard").good())
