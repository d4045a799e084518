"""What changed between two readings of the nodes: what comes and goes with pods is no change."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from pytest_ciliumwg.checks.readings import Readings
from pytest_ciliumwg.model.cluster import IPFamily, Node, Pod
from pytest_ciliumwg.model.node_state import Link, NodeState, Peer, Route, WireGuardDevice
from pytest_ciliumwg.model.reading import Reading

KEY, OTHER_KEY = "K" * 43 + "=", "L" * 43 + "="
NODES = (
    Node(name="one", addresses=(ip_address("172.18.0.2"),), public_key=OTHER_KEY),
    Node(name="two", addresses=(ip_address("172.18.0.3"),), public_key=KEY),
)
STAYS = Pod(name="stays", namespace="shop", node="two", addresses=(ip_address("10.0.2.10"),))
PASSES = Pod(name="passes", namespace="shop", node="two", addresses=(ip_address("10.0.2.11"),))
PEER = Peer(
    public_key=KEY,
    endpoint=None,
    allowed_ips=frozenset(map(ip_network, ("10.0.2.10", "10.0.2.11", "172.18.0.3"))),
    latest_handshake=1.0,
    rx_bytes=1,
    tx_bytes=1,
)
STATE = NodeState(
    node="one",
    observed_at=0.0,
    link=Link(name="cilium_wg0", index=7, kind="wireguard", flags=frozenset({"UP"}), mtu=1420),
    wireguard=WireGuardDevice(name="cilium_wg0", public_key=OTHER_KEY, listen_port=51871, fwmark=0xE00),
    peers=(PEER,),
    rules=(),
    routes=(Route(family=IPFamily.V4, table="main", destination=ip_network("10.0.2.0/24"), device="eth0"),),
    redirects=(),
    native_devices=(Link(name="eth0", index=2, kind="", flags=frozenset({"UP"}), mtu=1500),),
    rp_filter=None,
)


def readings(state: NodeState = STATE, nodes: tuple[Node, ...] = NODES) -> Readings:
    """A pod was there before the flows and is gone after them."""
    both = frozenset({STAYS, PASSES})
    first = Reading(nodes=NODES, states={"one": STATE}, pods_before=both, pods_after=both)
    only = frozenset({STAYS})
    return Readings(first, Reading(nodes=nodes, states={"one": state}, pods_before=only, pods_after=only))


def changes(state: NodeState = STATE, nodes: tuple[Node, ...] = NODES) -> list[tuple[Any, ...]]:
    return [(change.lost, change.new, change.concerned) for change in readings(state, nodes).changes()]


def with_peer(**changed: Any) -> NodeState:
    return replace(STATE, peers=(replace(PEER, **changed),))


def without(address: str) -> NodeState:
    return with_peer(allowed_ips=PEER.allowed_ips - {ip_network(address)})


def test_counters_and_handshakes_are_no_change() -> None:
    later = with_peer(latest_handshake=9.0, rx_bytes=900, tx_bytes=900)
    assert changes(later) == []
    assert [*readings(later).judged_again] == []


def test_the_address_of_a_pod_that_went_goes_too() -> None:
    assert changes(without("10.0.2.11")) == []
    assert len([*readings(without("10.0.2.11")).judged_again]) == 1, "it is another state, which checks judge"


def test_the_address_of_a_pod_that_stays_does_not_go() -> None:
    assert changes(without("10.0.2.10")) == [(("allowed IP 10.0.2.10/32 of peer two",), (), ("two",))]


def test_an_address_of_nobody_and_a_network_do_not_come() -> None:
    for stranger in ("10.0.9.9", "10.0.0.0/16"):
        network = ip_network(stranger)
        came = with_peer(allowed_ips=PEER.allowed_ips | {network})
        assert changes(came) == [((), (f"allowed IP {network} of peer two",), ("two",))]


def test_a_peer_that_goes() -> None:
    ((lost, new, concerned),) = changes(replace(STATE, peers=()))
    assert "peer two" in lost
    assert (new, concerned) == ((), ("two",))


def test_what_else_changes_on_a_node() -> None:
    wireguard = STATE.wireguard
    assert wireguard is not None
    assert STATE.link is not None
    other: dict[str, dict[str, Any]] = {
        "device cilium_wg0 up mtu 1420": {"link": replace(STATE.link, mtu=1280)},
        f"device key {OTHER_KEY}": {"wireguard": replace(wireguard, public_key=KEY)},
        "route 10.0.2.0/24 dev eth0 table main": {"routes": ()},
        "device eth0 up mtu 1500": {"native_devices": (replace(STATE.native_devices[0], flags=frozenset()),)},
    }
    for lost, how in other.items():
        found = changes(replace(STATE, **how))
        assert lost in found[0][0], lost
        assert len([*readings(replace(STATE, **how)).judged_again]) == 1


def test_the_route_to_a_single_pod_is_no_change() -> None:
    one = Route(family=IPFamily.V4, table="11", destination=ip_network("10.0.2.11/32"), device="eth0")
    assert changes(replace(STATE, routes=(*STATE.routes, one))) == []


def test_a_key_that_is_published_anew() -> None:
    ((lost, new, _),) = changes(nodes=(replace(NODES[0], public_key=None), NODES[1]))
    assert (lost, new) == ((f"published key {OTHER_KEY}",), ("published key none",))


def test_where_a_node_joined_or_left_the_later_states_are_not_judged_by_the_earlier_nodes() -> None:
    found = readings(replace(STATE, peers=()), nodes=NODES[:1])
    assert found.came_or_went == ("two",)
    assert [*found.judged_again] == []
    assert [*Readings(found.first, None).changes()] == []
