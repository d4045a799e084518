"""Every text of the model is known by what it holds, and sentences lose the names and addresses in them."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from ipaddress import ip_address
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from pytest_ciliumwg.model.cluster import Member
from pytest_ciliumwg.model.recording import Recording
from pytest_ciliumwg.providers.offline.anonymous.addresses import Addresses
from pytest_ciliumwg.providers.offline.anonymous.model import BY_NODE, SAME, TOLD
from pytest_ciliumwg.providers.offline.anonymous.names import Names

ELSEWHERE = {
    *((Recording, "provider"), (Recording, "description"), (Recording, "configs"), (Recording, "changes")),
    (Member, "labels"),
}
"""Fields that the record of a cluster hands out by other means."""


def holds_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return False
    return kind is str or any(holds_text(inner) for inner in get_args(kind))


def classes(kind: Any, known: set[type]) -> Iterator[type]:
    if get_origin(kind) in (Union, types.UnionType) or get_args(kind):
        for inner in get_args(kind):
            yield from classes(inner, known)
    elif is_dataclass(kind) and isinstance(kind, type) and kind not in known:
        known.add(kind)
        yield kind
        for hint in get_type_hints(kind).values():
            yield from classes(hint, known)


def test_every_text_of_the_model_is_in_one_table() -> None:
    told = [field for several in TOLD.values() for field in several]
    tables = [*told, *BY_NODE, *SAME, *ELSEWHERE]
    assert len(tables) == len(set(tables))
    texts = {
        (kind, member.name)
        for kind in classes(Recording, set())
        for member in fields(kind)
        if holds_text(get_type_hints(kind)[member.name])
    }
    assert texts == set(tables)


@pytest.fixture
def names() -> Names:
    """Of a small cluster."""
    nodes = ["worker", "worker-2", "w3.example.org"]
    pods = [("default", "web-0"), ("shop", "web-0"), ("shop", "cart")]
    return Names(Addresses(), nodes, pods, {"capture": ["a worker-2/x.pcap"], "host": ["w3"]})


def test_names_by_kind_and_in_order(names: Names) -> None:
    assert [names.node(name) for name in ("w3.example.org", "worker", "worker-2")] == ["node-1", "node-2", "node-3"]
    assert names.node("east/worker") == "cluster-1/node-2"
    assert names.node("east/unknown") == "cluster-1/node-4"
    assert names.pod_key("shop/web-0") == "namespace-1/pod-1"
    assert names.pod_key("default/web-0") == "default/pod-1"
    assert names.pod_key("host/worker") == "host/node-2"
    assert names.label_term("node-role.kubernetes.io/control-plane") == "node-role.kubernetes.io/control-plane"
    assert names.label_term("shop.example/zone=here") == "label-1=value-1"
    assert names.label_value("worker") == "node-2"
    assert names.domain("") == ""


def test_sentences(names: Names) -> None:
    addresses = names.addresses_in
    said = (
        "pod shop/cart on worker-2 (w3, worker) in a worker-2/x.pcap: 10.1.2.3 → fd00::7, 10.1.0.0/16, "
        "[fd00::7]:51871, 02:42:ac:12:00:03 at 21:54:45.694, Cilium 1.21.0, table 201"
    )
    told = names.text(said)
    for real in ("shop", "cart", "worker", "w3", "10.1.", "fd00::7", "02:42", ".pcap"):
        assert real not in told
    assert told.startswith("pod namespace-1/pod-2 on node-3 (host-1, node-2) in capture-1: ")
    assert told.endswith(" at 21:54:45.694, Cilium 1.21.0, table 201")
    assert f"{addresses('10.1.2.3')} → {addresses('fd00::7')}, {addresses('10.1.0.0/16')}, " in told
    assert f"[{addresses('fd00::7')}]:51871" in told
    assert ip_address(addresses("10.1.2.3")).is_private
