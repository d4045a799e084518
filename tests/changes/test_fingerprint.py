"""What a cluster is like before and after a change: everything that matters is compared, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_ciliumwg.changes.fingerprint import differences, fingerprint, place_of
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.node_state import Link, NodeState, Peer, Redirect, Route, Rule
from pytest_ciliumwg.model.timeline import AgentPod, Snapshot
from pytest_ciliumwg.providers.base import Cluster

CLUSTER = cast(Cluster, SimpleNamespace(test_pods=lambda: [SimpleNamespace(namespace="ours")]))
KEY = "K" * 43 + "="
PEER = Peer(
    public_key=KEY,
    endpoint=None,
    allowed_ips=frozenset(),
    latest_handshake=None,
    rx_bytes=0,
    tx_bytes=0,
)
STATE = NodeState(
    node="one",
    observed_at=0.0,
    link=Link(name="cilium_wg0", index=7, kind="wireguard", flags=frozenset({"UP"}), mtu=1420),
    wireguard=None,
    peers=(PEER,),
    rules=(Rule(family=IPFamily.V4, priority=1, table="201", fwmark=0xE00, fwmask=0xF00),),
    routes=(Route(family=IPFamily.V4, table="201", destination=ip_network("0.0.0.0/0"), device="cilium_wg0"),),
    redirects=(
        Redirect(device="eth0", direction="egress", means="bpf", program="cil_to_netdev", families=frozenset(IPFamily)),
    ),
    native_devices=(Link(name="eth0", index=2, kind="", flags=frozenset({"UP"}), mtu=1500),),
    rp_filter=None,
)
SNAPSHOT = Snapshot(
    agents={"one": AgentPod(name="cilium-a", ready=True, image="v1.18")},
    nodes={"one": True},
    keys={"two": KEY},
    pods={"ours/a": "one", "theirs/b": "one"},
)


def changed(state: NodeState = STATE, snapshot: Snapshot = SNAPSHOT) -> list[tuple[str, str, str]]:
    before = fingerprint(CLUSTER, SNAPSHOT, {"one": STATE})
    return list(differences(before, fingerprint(CLUSTER, snapshot, {"one": state})))


def test_what_is_the_same_is_no_difference() -> None:
    assert changed() == []


LOSSES: dict[str, tuple[dict[str, Any], str]] = {
    "rule": ({"rules": ()}, "rule 1 fwmark 0xe00/0xf00 from all lookup 201 (v4)"),
    "route": ({"routes": ()}, "route 0.0.0.0/0 dev cilium_wg0 table 201"),
    "redirect": ({"redirects": ()}, "redirect egress of eth0 by cil_to_netdev"),
    "peer": ({"peers": ()}, "peer two"),
    "device": ({"link": None}, "device cilium_wg0 up mtu 1420"),
    "native device": ({"native_devices": ()}, "device eth0 up mtu 1500"),
}


@pytest.mark.parametrize("what", LOSSES)
def test_a_loss_is_told_at_its_node(what: str) -> None:
    parts, line = LOSSES[what]
    ((where, before, after),) = changed(replace(STATE, **parts))
    assert where == "one"
    assert line in before.split("; ")
    assert after == "nothing"


def test_what_cannot_be_read_any_more_is_a_difference() -> None:
    assert changed(replace(STATE, unread={"peers": "no answer"})) == [("one", "nothing", "peers cannot be read")]


def test_nodes_agents_and_our_pods_belong_to_the_cluster_and_those_of_others_do_not() -> None:
    assert changed(snapshot=replace(SNAPSHOT, pods={"ours/c": "one"})) == []
    assert changed(snapshot=replace(SNAPSHOT, nodes={"one": False})) == [
        ("cluster", "node one Ready", "node one NotReady")
    ]
    assert changed(snapshot=replace(SNAPSHOT, agents={})) == [("cluster", "agent of one v1.18 ready", "nothing")]
    assert changed(snapshot=replace(SNAPSHOT, pods={})) == [("cluster", "1 test pods on one", "nothing")]


def test_a_key_that_was_replaced_is_none() -> None:
    other = "L" * 43 + "="
    replaced = replace(STATE, peers=(replace(PEER, public_key=other),))
    assert changed(replaced, replace(SNAPSHOT, keys={"two": other})) == []
    assert changed(replaced) == [("one", "peer two", "peer of an unknown key")]


def test_places() -> None:
    assert place_of("one").nodes == ("one",)
    assert not place_of("cluster").nodes
