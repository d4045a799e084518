"""Addresses among allowed IPs that no pod has at present."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from types import SimpleNamespace

import pytest

from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Node
from pytest_ciliumwg.model.node_state import Link, WireGuardDevice
from tests.diagnosis.test_recorded_leaks import suite
from tests.existing.test_settling import state

LINK = Link(name="cilium_wg0", index=9, kind="wireguard", mtu=1420, flags=frozenset({"UP"}))


@pytest.mark.parametrize(
    ("version", "pool", "wrong"),
    [("1.18.4", "10.0.2.9/32", False), ("1.17.10", "10.0.2.9/32", True), ("1.18.4", "10.0.2.0/28", True)],
    ids=["of-the-pool", "before-pools-are-there", "of-a-pod-that-is-gone"],
)
def test_single_addresses_of_a_pool_are_known(version: str, pool: str, wrong: bool) -> None:
    nodes = [
        Node(name="one", addresses=(ip_address("192.0.2.1"),), public_key="one"),
        Node(name="two", addresses=(ip_address("192.0.2.2"),), public_key="two", pod_cidrs=(ip_network(pool),)),
    ]
    verify = Verify()
    device = WireGuardDevice(name="cilium_wg0", public_key="one", listen_port=51871, fwmark=None)
    seen = replace(state("one", "10.0.2.9/32"), wireguard=device, link=LINK)
    readings = SimpleNamespace(first=SimpleNamespace(states={"one": seen}), judged_again=())
    config = CiliumConfig(version=version, encryption=True, families=frozenset({IPFamily.V4}))
    observed = Observed(readings, verify)  # type: ignore[arg-type]
    suite("allowed_ips").test_nothing_unknown(observed, nodes, [], verify, expectations_for(config))
    assert verify.verified
    assert bool(verify.findings) == wrong
