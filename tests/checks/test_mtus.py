"""Whose MTU Cilium makes all others from, and what is said where nobody can know."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_interface

import pytest

from pytest_ciliumwg.checks.mtus import measured_with_largest, mtu_base
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Node
from pytest_ciliumwg.model.node_state import Link, NodeState

NODE = Node(name="one", addresses=(ip_address("2001:db8::1"), ip_address("192.0.2.1")))


def link(name: str, mtu: int, *addresses: str) -> Link:
    interfaces = tuple(map(ip_interface, addresses))
    return Link(name=name, index=1, kind="", flags=frozenset({"UP"}), mtu=mtu, addresses=interfaces)


CARD, STORAGE, DUMMY = (
    link("eth0", 9000, "192.0.2.1/24"),
    link("eth1", 1500),
    link("nodelocaldns", 1280, "169.254.20.10/32"),
)


def state(selected: tuple[str, ...] | None, native: tuple[Link, ...] = (CARD, STORAGE)) -> NodeState:
    return NodeState(
        node="one",
        observed_at=0.0,
        link=None,
        wireguard=None,
        peers=(),
        rules=(),
        routes=(),
        redirects=(),
        native_devices=native,
        rp_filter=0,
        devices=(CARD, STORAGE, DUMMY),
        selected=selected,
    )


@pytest.mark.parametrize(
    ("version", "told", "selected", "native", "mtu", "whose"),
    [
        ("1.18.3", 1400, ("eth0",), (CARD,), 1400, "the MTU that Cilium is told"),
        ("1.13.18", 1400, None, (CARD,), 1400, "the MTU that Cilium is told"),
        ("1.16.5", 0, ("eth0", "eth1"), (CARD, STORAGE), 9000, "9000 of eth0, which has the node's address"),
        ("1.17.0", 0, ("eth0", "eth1"), (CARD, STORAGE), 1500, "the lowest of the devices that Cilium selected"),
        ("1.17.0", 0, ("eth0",), (CARD, STORAGE), 9000, r"\(eth0 9000\)"),
        ("1.17.0", 0, None, (CARD,), 9000, "9000 of every native device"),
        ("1.17.0", 0, None, (CARD, STORAGE), None, "its agent does not tell, and its native devices differ: eth0 9000"),
        ("1.17.0", 0, ("eth7",), (CARD,), None, "none of the devices that Cilium selected: eth7"),
    ],
)
def test_whose_mtu_counts(
    version: str, told: int, selected: tuple[str, ...] | None, native: tuple[Link, ...], mtu: int | None, whose: str
) -> None:
    config = CiliumConfig(version=version, encryption=True, families=frozenset(IPFamily), mtu=told)
    base = mtu_base(state(selected, native), NODE, config, expectations_for(config))
    assert base.mtu == mtu
    assert re.search(whose, base.told), base.told


def test_without_a_measurement_nothing_is_said_of_packets() -> None:
    assert measured_with_largest(None)("one") == "What this does to packets was not measured."
