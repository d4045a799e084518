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
    observed = Observed(SimpleNamespace(first=SimpleNamespace(states={"one": state}), judged_again=()), verify)  # type: ignore[arg-type]
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
