"""Which native devices have to redirect: those by which the most specific routes lead to pods and nodes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from types import SimpleNamespace

import pytest

from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Node, Pod
from pytest_ciliumwg.model.node_state import Link, NodeState, Redirect, Route
from tests.diagnosis.test_recorded_leaks import suite

V4 = IPFamily.V4
NODES = [Node(name=name, addresses=(ip_address(ip),)) for name, ip in (("one", "192.0.2.1"), ("two", "192.0.2.2"))]
POD = Pod(name="web", namespace="shop", node="two", addresses=(ip_address("10.0.2.7"),))
PUBLIC, PRIVATE = ("0.0.0.0/0", "eth1"), ("192.0.2.0/24", "eth0")


def observing(state: NodeState, verify: Verify) -> Observed:
    return Observed(SimpleNamespace(first=SimpleNamespace(states={"one": state}), judged_again=()), verify)  # type: ignore[arg-type]


def devices_that_fail(routes: list[tuple[str, str]]) -> list[str | None]:
    """Of a node whose program is on eth0 alone."""
    program = Redirect(
        device="eth0", direction="egress", means="bpf", program="cil_to_netdev", families=frozenset({V4})
    )
    links = [
        Link(name=name, index=at, kind="", mtu=1500, flags=frozenset({"UP"}))
        for at, name in enumerate(("eth0", "eth1"))
    ]
    state = NodeState(
        node="one", observed_at=0.0, link=None, wireguard=None, peers=(), rules=(),
        routes=tuple(Route(family=V4, table="main", destination=ip_network(to), device=by) for to, by in routes),
        redirects=(program,), native_devices=tuple(links), rp_filter=0,
    )  # fmt: skip
    verify = Verify()
    observed = observing(state, verify)
    config = CiliumConfig(version="1.18.4", encryption=True, families=frozenset({V4}))
    suite("steering").test_redirect(observed, verify, expectations_for(config), V4, NODES, [POD])
    assert verify.verified
    return [finding.place.device for finding in verify.findings]


@pytest.mark.parametrize(
    ("routes", "wrong"),
    [
        ([PRIVATE, ("10.0.2.0/24", "eth0"), PUBLIC], []),
        ([PRIVATE, PUBLIC], ["eth1"]),
        ([PRIVATE, ("10.0.2.0/24", "eth0"), ("10.0.2.7/32", "eth1")], ["eth1"]),
        ([PRIVATE, ("10.0.2.0/24", "eth0"), ("10.0.2.0/24", "eth1")], ["eth1"]),
        ([PRIVATE, ("10.0.2.0/24", "cilium_host"), PUBLIC], []),
    ],
    ids=["more-specific", "by-default", "one-pod", "two-next-hops", "overlay"],
)
def test_only_the_most_specific_route_to_an_address_counts(routes: list[tuple[str, str]], wrong: list[str]) -> None:
    assert devices_that_fail(routes) == wrong


OWN, VPN = ("main", "10.0.2.0/24", "eth0"), ("main", "10.0.0.0/8", "tun0")


@pytest.mark.parametrize(
    ("routes", "wrong"),
    [
        ([OWN, VPN], ""),
        ([VPN], "10.0.0.0/8 dev tun0 in table main"),
        ([OWN, ("main", "10.0.2.7/32", "tun0")], "10.0.2.7/32 dev tun0 in table main"),
        ([OWN, ("main", "10.0.2.0/24", "tun0")], "10.0.2.0/24 dev tun0 in table main"),
        ([OWN, ("52", "10.0.0.0/8", "tun0")], "10.0.0.0/8 dev tun0 in table 52"),
        ([OWN, ("52", "10.0.0.0/8", "tun0"), ("52", "10.0.0.0/16", None)], ""),
        ([OWN, ("main", "192.0.2.0/24", "tun0")], ""),
    ],
    ids=["behind a narrower one", "alone", "one pod", "as narrow", "another table", "thrown", "no pod"],
)
def test_a_way_that_a_more_specific_route_of_its_table_covers_is_none(
    routes: list[tuple[str, str, str | None]], wrong: str
) -> None:
    made = [Route(family=V4, table=table, destination=ip_network(to), device=by) for table, to, by in routes]
    state = NodeState(
        node="one", observed_at=0.0, link=None, wireguard=None, peers=(), rules=(), redirects=(), rp_filter=0,
        routes=tuple(route for route in made if route.table == "main"),
        other_routes=tuple(route for route in made if route.table != "main"),
        native_devices=(Link(name="eth0", index=1, kind="", mtu=1500, flags=frozenset({"UP"})),),
    )  # fmt: skip
    verify = Verify()
    suite("steering").test_other_ways(observing(state, verify), verify, [POD])
    assert verify.verified == 1
    assert [finding.seen for finding in verify.findings] == ([wrong] if wrong else [])
