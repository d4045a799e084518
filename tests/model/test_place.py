"""Places: what they say, word for word, and what they name."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from pytest_ciliumwg.model.cluster import IPFamily, Pod
from pytest_ciliumwg.model.node_state import Endpoint
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.traffic import Flow, Protocol

ONE, TWO = ip_address("10.0.1.1"), ip_address("10.0.2.1")
OUTER = ip_address("172.18.0.3"), ip_address("fd00::4")
FLOW = Flow(
    id=7,
    purpose="pair",
    source_node="one",
    destination_node="two",
    source_pod="ns/a",
    destination_pod="ns/b",
    source=ONE,
    destination=TWO,
    protocol=Protocol.UDP,
    port=4000,
    payload_size=64,
    count=3,
)
POD = Pod(name="a", namespace="ns", node="one", addresses=(ONE,))


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place.everywhere("all nodes"), "all nodes"),
        (Place.of_node("one"), "one"),
        (Place.of_node("one", "eth0"), "one eth0"),
        (Place.of_node("one", family=IPFamily.V6), "one IPv6"),
        (Place.of_node("one", "eth0", family=IPFamily.V4), "one eth0 IPv4"),
        (Place.of_node("one", "eth0", detail="before the flows"), "one eth0, before the flows"),
        (Place.of_node("one", detail="after the flows"), "one, after the flows"),
        (Place.of_peer("one", "two"), "one, peer two"),
        (Place.of_endpoint("one", Endpoint(address=OUTER[1], port=51871)), "one, endpoint [fd00::4]:51871"),
        (Place.of_pair("one", "two"), "one → two"),
        (Place.of_pair("one", "two", seen_from="two"), "one → two, seen from two"),
        (Place.between("one", "two"), "one ↔ two"),
        (Place.of_flow(FLOW), "UDP v4 one → two (10.0.1.1 → 10.0.2.1)"),
        (Place.of_path("pod-to-service"), "pod-to-service"),
        (Place.of_outer("one", "eth0", *OUTER), "one eth0, 172.18.0.3 → fd00::4"),
        (Place.of_route(POD, TWO), "pod ns/a on one, route to 10.0.2.1"),
        (Place.of_change("agent-restart"), "agent-restart"),
        (Place.of_node("one").under("agent-restart"), "agent-restart, one"),
        (Place(node="one", ends=(ONE, TWO)), "one, 10.0.1.1 and 10.0.2.1"),
        (Place(node="one"), "one"),
    ],
)
def test_text(place: Place, text: str) -> None:
    assert str(place) == text


@pytest.mark.parametrize(
    ("place", "nodes", "addresses"),
    [
        (Place.everywhere("all nodes"), (), ()),
        (Place.of_change("agent-restart"), (), ()),
        (Place.of_peer("one", "two"), ("one", "two"), ()),
        (Place.of_pair("one", "two", seen_from="two"), ("one", "two"), ()),
        (Place.between("one", "two"), ("one", "two"), ()),
        (Place.of_flow(FLOW), ("one", "two"), (ONE, TWO)),
        (Place.of_outer("one", "eth0", *OUTER), ("one",), OUTER),
        (Place.of_endpoint("one", Endpoint(address=OUTER[0], port=51871)), ("one",), OUTER[:1]),
        (Place.of_route(POD, TWO), ("one",), (TWO,)),
        (Place(node="one", ends=(ONE, TWO)), ("one",), (ONE, TWO)),
    ],
)
def test_names(place: Place, nodes: tuple[str, ...], addresses: tuple[str, ...]) -> None:
    assert place.nodes == nodes
    assert place.addresses == addresses


def test_what_is_concerned_is_named_and_not_said() -> None:
    place = Place.of_node("one").concerning(["two"], [TWO]).concerning(["three", "one"])
    assert str(place) == "one"
    assert place.nodes == ("one", "two", "three")
    assert place.addresses == (TWO,)


def test_fields_of_reports() -> None:
    assert Place.of_flow(FLOW).fields() == {
        "family": "v4",
        "pair": ["one", "two"],
        "flow": 7,
        "protocol": "udp",
        "path": "pod-to-pod",
        "nodes": ["one", "two"],
        "addresses": ["10.0.1.1", "10.0.2.1"],
    }
    endpoint = Place.of_endpoint("one", Endpoint(address=OUTER[1], port=51871)).concerning(["two"])
    assert json.loads(json.dumps(endpoint.fields())) == {
        "node": "one",
        "endpoint": "[fd00::4]:51871",
        "nodes": ["one", "two"],
        "addresses": ["fd00::4"],
    }
    assert Place.everywhere("all nodes").fields() == {"extent": "all nodes", "nodes": [], "addresses": []}
