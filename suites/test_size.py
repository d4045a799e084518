"""Sizes: from one byte to more than the MTU nothing is lost, and nothing is fragmented that must not be."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from pytest_ciliumwg.checks.helpers import (
    Observed,
    assert_delivered,
    assert_size_delivered,
    assert_size_encrypted,
    judged,
    wireguard_messages,
)
from pytest_ciliumwg.checks.mtus import MtuBases, WhatItDoes
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, source
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.providers.base import Cluster
from pytest_ciliumwg.verdict.judge import Judge

DATAGRAMS = pytest.mark.parametrize("datagram", [Protocol.ICMP, Protocol.UDP], ids=["icmp", "udp"])


@pytest.mark.ciliumwg_check("size.route-mtu", source=source("pod_route_mtus"))
def test_route_mtu(
    cluster: Cluster,
    observed: Observed,
    mtu_bases: MtuBases,
    route_mtus_told: Mapping[str, int],
    what_it_does: WhatItDoes,
    route_mtus: Mapping[str, Mapping[str, int]],
    verify: Verify,
    expected: Expectations,
) -> None:
    """The routes in pods have the MTU that fits into this version's tunnel."""
    pods = {pod.node: pod for pod in cluster.test_pods()}
    for state in observed.states():
        pod, base = pods[state.node], mtu_bases(state)
        if base.mtu is None:
            verify.unmeasured(Place.of_node(state.node), base.told)
            continue
        mtus = expected.pod_route_mtus(base.mtu, route_mtus_told.get(state.node, 0))
        for address, mtu in route_mtus[pod.key].items():
            if mtu in mtus:
                verify.held()
                continue
            verify(
                False,
                where=Place.of_route(pod, ip_address(address)),
                expected=f"MTU {mtus}",
                seen=f"{mtu} ({mtus} is made from {base.told})",
                meaning=what_it_does(state.node),
            )


@pytest.mark.ciliumwg_check(
    "size.delivered", source="issues 28413 and 23917: double encapsulation, padding beyond the MTU"
)
@DATAGRAMS
def test_delivered(judge: Judge, verify: Verify, expected: Expectations, family: IPFamily, datagram: Protocol) -> None:
    """Payloads of one byte, just below, at and above the pod's MTU are all answered, but what this version drops."""
    for judgement in judged(judge, "size", family, datagram):
        assert_size_delivered(verify, judgement, expected)


@pytest.mark.ciliumwg_check(
    "size.dont-fragment", source="recordings of 1.13 to 1.15: a packet of exactly the route's MTU passes with DF"
)
@DATAGRAMS
def test_full_size_with_df(judge: Judge, verify: Verify, family: IPFamily, datagram: Protocol) -> None:
    """A packet of exactly the route's MTU, which must not be fragmented, gets through."""
    for judgement in judged(judge, "size", family, datagram):
        if judgement.flow.dont_fragment:
            assert_delivered(verify, judgement, "The route promises an MTU that the tunnel does not have.")


@pytest.mark.ciliumwg_check(
    "size.no-cleartext", source='documentation, "Which traffic is encrypted": pod to pod on another node'
)
@DATAGRAMS
def test_no_cleartext(
    judge: Judge, verify: Verify, expected: Expectations, family: IPFamily, datagram: Protocol
) -> None:
    """No packet of any size, whole or fragmented, is seen in cleartext."""
    for judgement in judged(judge, "size", family, datagram):
        assert_size_encrypted(verify, judgement, expected)


KNOWN_OF_NODES = (
    "a known property of node encryption, under which nodes send packets of the native device's MTU into the tunnel "
    "(cilium/cilium issue 37919)"
)


@pytest.mark.ciliumwg_check("size.outer-unfragmented", source=source("unfragmented"))
def test_outer_packets_are_not_fragmented(judge: Judge, verify: Verify, expected: Expectations) -> None:
    """WireGuard's outer packets are not fragmented, where this version promises it."""
    for node, device, messages in wireguard_messages(judge, verify):
        underlay = IPFamily.of(messages.source)
        if not expected.unfragmented(underlay):
            verify.unsupported(
                Place.of_node(node), f"Cilium {expected.config.version} does not promise it over IP{underlay.value}"
            )
            if messages.fragmented:
                because = KNOWN_OF_NODES if expected.config.node_encryption else "known of this version"
                place = Place.of_outer(node, device, messages.source, messages.destination)
                verify.note(place, f"{messages.count} packets in fragments: {because}")
            continue
        verify(
            not messages.fragmented,
            where=Place.of_outer(node, device, messages.source, messages.destination),
            expected="whole packets",
            seen=f"{messages.count} fragmented ones",
            meaning="Fragments are slow, and many networks drop them.",
        )
