"""Which devices are native: the rule, on nodes of many kinds."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.node_state import Link, Route
from pytest_ciliumwg.providers.existing.native_devices import native_devices

OWN, OTHERS = [ip_address("192.0.2.1")], [ip_address("192.0.2.2"), ip_address("198.51.100.2")]


def link(name: str, kind: str = "", *addresses: str, flags: str = "UP LOWER_UP") -> Link:
    return Link(
        name=name,
        index=1,
        kind=kind,
        flags=frozenset(flags.split()),
        mtu=1500,
        addresses=tuple(ip_interface(address) for address in addresses),
    )


def route(destination: str, device: str, table: str = "main") -> Route:
    return Route(family=IPFamily.V4, table=table, destination=ip_network(destination), device=device)


LOOPBACK = link("lo", "", "192.0.2.1/32", flags="UP LOWER_UP LOOPBACK")
CILIUM = [link("cilium_host", "veth", "10.0.0.1/32"), link("cilium_wg0", "wireguard"), link("lxc1", "veth")]
NODES = {
    "kind: a veth with the address": ([link("eth0", "veth", "192.0.2.1/24")], [], "eth0"),
    "a card": ([link("ens3", "", "192.0.2.1/24")], [route("0.0.0.0/0", "ens3")], "ens3"),
    "two cards, one unexpected": ([link("ens3", "", "192.0.2.1/24"), link("ens4")], [], "ens3 ens4"),
    "a card without a cable": ([link("ens3", "", "192.0.2.1/24"), link("ens4", flags="UP")], [], "ens3"),
    "a card that is down": ([link("ens3", "", "192.0.2.1/24"), link("ens4", flags="")], [], "ens3"),
    "docker and dummies": (
        [link("ens3", "", "192.0.2.1/24"), link("docker0", "bridge", "172.17.0.1/16"), link("kube-ipvs0", "dummy")],
        [],
        "ens3",
    ),
    "a bond": (
        [
            link("bond0", "bond", "192.0.2.1/24", flags="UP LOWER_UP MASTER"),
            link("ens3", flags="UP LOWER_UP SLAVE"),
            link("ens4", flags="UP LOWER_UP SLAVE"),
        ],
        [],
        "bond0",
    ),
    "a second bond that leads nowhere": (
        [
            link("bond0", "bond", "192.0.2.1/24", flags="UP LOWER_UP MASTER"),
            link("bond1", "bond", flags="UP LOWER_UP MASTER"),
            *(link(f"ens{number}", flags="UP LOWER_UP SLAVE") for number in (3, 4, 5, 6)),
        ],
        [],
        "bond0 bond1",
    ),
    "a VLAN of a bond": (
        [
            link("bond0", "bond", flags="UP LOWER_UP MASTER"),
            link("bond0.7", "vlan", "192.0.2.1/24"),
            link("ens3", flags="UP LOWER_UP SLAVE"),
        ],
        [],
        "bond0 bond0.7",
    ),
    "a VRF": (
        [link("blue", "vrf", flags="UP LOWER_UP MASTER NOARP"), link("ens3", "", "192.0.2.1/24"), link("ens4")],
        [],
        "ens3 ens4",
    ),
    "a bridge over a card": ([link("br-ex", "bridge", "192.0.2.1/24"), link("ens3")], [], "br-ex ens3"),
    "a VLAN": ([link("ens3"), link("ens3.7", "vlan", "192.0.2.1/24")], [], "ens3 ens3.7"),
    "addresses on lo, two ways out": (
        [link("swp1", "veth"), link("swp2", "veth"), link("swp3", "veth")],
        [route("192.0.2.0/24", "swp1"), route("192.0.2.0/24", "swp2"), route("0.0.0.0/0", "swp3")],
        "swp1 swp2 swp3",
    ),
    "the longest route counts": (
        [link("veth1", "veth"), link("veth2", "veth")],
        [route("0.0.0.0/0", "veth1"), route("192.0.2.0/24", "veth2"), route("198.51.100.0/24", "veth2")],
        "veth2",
    ),
    "another table is none of it": ([link("veth1", "veth")], [route("0.0.0.0/0", "veth1", "201")], ""),
    "a VPN between the nodes": ([link("wg0", "wireguard", "192.0.2.1/24"), link("ens3")], [], "wg0 ens3"),
}


@pytest.mark.parametrize("name", list(NODES))
def test_native_devices(name: str) -> None:
    links, routes, expected = NODES[name]
    found = native_devices([LOOPBACK, *CILIUM, *links], routes, OWN, OTHERS)
    assert " ".join(device.name for device in found) == expected
