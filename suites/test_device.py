"""The WireGuard device of every node."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.mtus import MtuBases, WhatItDoes
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, source
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily
from pytest_ciliumwg.model.node_state import Link
from pytest_ciliumwg.model.place import Place


@pytest.mark.ciliumwg_check("device.present", source=source("device_name"))
def test_present(observed: Observed, verify: Verify, expected: Expectations) -> None:
    """Every node has the device cilium_wg0."""
    for state in observed.states("link"):
        verify(
            state.link is not None,
            where=Place.of_node(state.node),
            expected=f"the device {expected.device_name}",
            seen="no such device",
            meaning="This node encrypts nothing.",
        )


@pytest.mark.ciliumwg_check("device.kind", source=source("userspace_fallback"))
def test_kind(
    observed: Observed, node_configs: Mapping[str, CiliumConfig], verify: Verify, expected: Expectations
) -> None:
    """The device is the kernel's WireGuard, or a tun where the userspace fallback is declared."""
    for state, link in observed.links():
        verify(
            link.kind in expected.device_kinds,
            where=Place.of_node(state.node),
            expected=f"kind {' or '.join(sorted(expected.device_kinds))}",
            seen=link.kind or "no kind",
            meaning=_whose(link, node_configs.get(state.node, expected.config)),
        )


def _whose(link: Link, config: CiliumConfig) -> str:
    """What it means that the device is of another kind: a tun lives as long as the process that made it."""
    if link.kind != "tun":
        return "It is no WireGuard device: whatever goes into it, Cilium does not encrypt."
    if config.userspace_fallback:
        return "A tun dies with the agent, and traffic falls through to the main routing table while it is gone."
    return (
        "Cilium has no userspace fallback here, so the tun belongs to a process that is not Cilium's: it outlives the "
        "agent, and while that process is gone nothing is encrypted."
    )


@pytest.mark.ciliumwg_check("device.up", source="pkg/wireguard/agent/agent.go: the agent sets the device up")
def test_up(observed: Observed, verify: Verify) -> None:
    """The device is up."""
    for state, link in observed.links():
        verify("UP" in link.flags, where=Place.of_node(state.node), expected="flag UP", seen=_flags(link.flags))


@pytest.mark.ciliumwg_check("device.noarp", source="bpf/lib/wireguard.h: the device is POINTOPOINT, NOARP")
def test_noarp(observed: Observed, verify: Verify) -> None:
    """The device does no ARP."""
    for state, link in observed.links():
        verify("NOARP" in link.flags, where=Place.of_node(state.node), expected="flag NOARP", seen=_flags(link.flags))


@pytest.mark.ciliumwg_check("device.no-address", source="pkg/wireguard/agent/agent.go: the agent sets no address")
def test_no_address(observed: Observed, verify: Verify) -> None:
    """The device has no address, apart from an IPv6 link-local one that the kernel made."""
    for state, link in observed.links():
        addresses = [str(address) for address in link.addresses if not address.is_link_local]
        verify(
            not addresses,
            where=Place.of_node(state.node),
            expected="no address",
            seen=", ".join(addresses),
            meaning="Packets could take this address as their source, which no peer accepts.",
        )


@pytest.mark.ciliumwg_check("device.mtu", source=source("device_mtus"))
def test_mtu(
    observed: Observed, mtu_bases: MtuBases, what_it_does: WhatItDoes, verify: Verify, expected: Expectations
) -> None:
    """The device's MTU leaves the room that this version's tunnel needs under the MTU that Cilium makes it from."""
    for state, link in observed.links():
        place, base = Place.of_node(state.node), mtu_bases(state)
        if base.mtu is None:
            verify.unmeasured(place, base.told)
            continue
        mtus = expected.device_mtus(base.mtu)
        verify(
            link.mtu in mtus,
            where=place,
            expected=f"MTU {mtus}",
            seen=f"{link.mtu} ({mtus} is made from {base.told})",
            meaning=what_it_does(state.node),
        )


@pytest.mark.ciliumwg_check("device.listen-port", source=source("listen_port"))
def test_listen_port(observed: Observed, verify: Verify, expected: Expectations) -> None:
    """The device listens on UDP port 51871."""
    for state, device in observed.devices():
        port = device.listen_port
        verify(
            port == expected.listen_port,
            where=Place.of_node(state.node),
            expected=f"port {expected.listen_port}",
            seen=port,
            meaning="Peers send their handshakes to a port at which nobody listens.",
        )


@pytest.mark.ciliumwg_check("device.fwmark", source=source("fwmarks"))
def test_fwmark(observed: Observed, verify: Verify, expected: Expectations) -> None:
    """Outer packets carry the firewall mark of this version, which keeps them from being encrypted again."""
    for state, device in observed.devices():
        place = Place.of_node(state.node)
        if expected.fwmarks is None:
            verify.unsupported(place, f"Cilium {expected.config.version} does not set the mark")
        elif device.fwmark is None:
            verify.unsupported(place, state.unread.get("fwmark", "the mark was not told"))
        else:
            marks = " or ".join(hex(mark) for mark in sorted(expected.fwmarks))
            verify(
                device.fwmark in expected.fwmarks,
                where=place,
                expected=marks,
                seen=hex(device.fwmark),
            )


@pytest.mark.ciliumwg_check("device.rp-filter", source="pkg/wireguard/agent/agent.go: rp_filter=0 when IPv4 is enabled")
def test_rp_filter(observed: Observed, verify: Verify, expected: Expectations) -> None:
    """Reverse path filtering is off on the device."""
    if IPFamily.V4 not in expected.config.families:
        pytest.skip("the cluster has no IPv4, and rp_filter exists for IPv4 only")
    for state, _ in observed.links():
        if "rp_filter" in state.unread:
            verify.unmeasured(Place.of_node(state.node), state.unread["rp_filter"])
            continue
        verify(
            state.rp_filter == 0,
            where=Place.of_node(state.node),
            expected="rp_filter 0",
            seen=state.rp_filter,
            meaning="The kernel may drop decrypted packets, because their way back is another device.",
        )


def _flags(flags: frozenset[str]) -> str:
    return ",".join(sorted(flags)) or "no flags"
