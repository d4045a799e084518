"""What one run stores another one reads as the same values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, ip_address, ip_network
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily
from pytest_ciliumwg.model.codec import decode, encoded
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.node_state import Endpoint, NodeState, Route
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.traffic import EvidenceFrame, Sighting
from pytest_ciliumwg.model.watch import ControlSeen, InsideReport, Passage
from tests.existing.test_settling import state as one_peer
from tests.offline.conftest import DETACHED, RECORDINGS, opened


def stored(value: object) -> Any:
    return json.loads("".join(encoded(value, 2)))


def alone(value: object) -> dict[str, object]:
    """What is stored where nothing is shared."""
    return {"value": value, "shared": {}}


def test_a_real_cluster_and_all_that_its_captures_show() -> None:
    cluster = opened(DETACHED, RECORDINGS / "egress-detached")
    reading, measurement, config = cluster.reading(), cluster.captured(), cluster.actual_config()
    assert decode(Reading, stored(reading)) == reading
    assert decode(CiliumConfig, stored(config)) == config
    assert decode(Measurement, stored(measurement)) == measurement
    assert measurement.watches["rig-worker"].pods is not None
    assert decode(Reading, stored(reading)).states["rig-worker"].macs == reading.states["rig-worker"].macs


def test_mappings_by_anything_but_text_and_bytes() -> None:
    passage = Passage(frames=1, bytes=2, short=0, first_at=1.0, last_at=2, numbers=None)
    inside = InsideReport(present=True, missed=0, controls=frozenset({0, 1}), passages={(7, True): passage})
    assert decode(InsideReport, stored(inside)) == inside
    frame = EvidenceFrame(at=1.5, data=b"\0\xff", length=2)
    seen = Sighting(
        flow=1, direction="reply", node="a", device="eth0", outgoing=True, how="canary", frames=1, first_at=1.0,
        last_at=2.0, layers="eth", evidence=(frame,),
    )  # fmt: skip
    assert decode(Sighting, stored(seen)) == seen
    with pytest.raises(ValueError, match="'sideways' is none of request, reply"):
        decode(Sighting, alone({**stored(replace(seen, evidence=()))["value"], "direction": "sideways"}))


@dataclass(frozen=True)
class _One:
    """A value with a single member."""

    number: float


def test_it_is_the_text_that_json_has() -> None:
    values: tuple[Any, ...] = (True, None, 7, 0.1, 1e300, float("inf"), 'a "ä"\n', (), {}, [1, (True, "x")], {"a": {1}})
    for value in values:
        told = json.dumps(value, separators=(",", ":"), default=list)
        assert "".join(encoded(value)).startswith(f'{{"value":{told},"shared":')
    assert stored({ip_address("10.0.0.1"): _One(1.5)})["value"] == [["10.0.0.1", {"number": 1.5}]]


def test_in_parts_it_is_the_same_text() -> None:
    value = {"sets": ({1}, {2}), "pairs": {(1, True): _One(0.5), (2, False): _One(1.0)}, "bytes": b"x", "none": None}
    whole = "".join(encoded(value))
    assert all("".join(encoded(value, depth)) == whole for depth in range(1, 5))
    assert len(list(encoded(value, 3))) > len(list(encoded(value, 1))) > 1


def test_what_all_nodes_tell_is_stored_once() -> None:
    ip, port = ip_address("192.0.2.1"), 51871
    route = Route(family=IPFamily.V4, table="main", destination=ip_network("10.0.2.0/24"), device="eth0")
    state = replace(one_peer("one", "10.0.2.9/32", "10.0.2.0/28"), routes=(route, route))
    state = replace(state, peers=(replace(state.peers[0], endpoint=Endpoint(address=ip, port=port)),))
    heard = frozenset({ControlSeen(sender="one", phase=0, device="eth0", outgoing=False, way="ICMP echo")})
    reading = {"first": state, "last": replace(state, observed_at=1.0)}
    found = stored({"states": reading, "heard": heard})
    assert {name: len(values) for name, values in found["shared"].items()} == dict.fromkeys(found["shared"], 1)
    assert found["value"]["states"]["last"]["routes"] == [0, 0]
    assert decode(Mapping[str, NodeState], {**found, "value": found["value"]["states"]}) == reading  # type: ignore[type-abstract]
    assert decode(frozenset[ControlSeen], {**found, "value": found["value"]["heard"]}) == heard
    with pytest.raises(ValueError, match=r"."):
        decode(NodeState, {**stored(state), "shared": {}})


@dataclass(frozen=True)
class _Later:
    """A value to which a later version has added a member, and of which it has dropped one."""

    family: IPFamily
    address: IPv4Address | None = None
    interface: IPv4Interface | None = None
    added: int = 5


def test_what_another_version_stored() -> None:
    found = decode(_Later, alone({"family": "v6", "address": "10.0.0.1", "dropped": [1]}))
    assert found == _Later(IPFamily.V6, ip_address("10.0.0.1"))  # type: ignore[arg-type]
    broken: tuple[object, ...] = (
        {"family": "v9"},
        {"family": "v4", "address": "there"},
        {},
        [],
        {"family": "v4", "added": "5"},
    )
    for wrong in broken:
        with pytest.raises(ValueError, match=r"."):
            decode(_Later, alone(wrong))
    with pytest.raises(ValueError, match=r"."):
        decode(_Later, {"family": "v6"})
