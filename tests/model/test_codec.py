"""What one run stores another one reads as the same values."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, ip_address
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily
from pytest_ciliumwg.model.codec import decode, encoded
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.traffic import EvidenceFrame, Sighting
from pytest_ciliumwg.model.watch import InsideReport, Passage
from tests.offline.conftest import DETACHED, RECORDINGS, opened


def stored(value: object) -> object:
    return json.loads("".join(encoded(value, 2)))


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
        decode(Sighting, {**stored(replace(seen, evidence=())), "direction": "sideways"})  # type: ignore[dict-item]


@dataclass(frozen=True)
class _One:
    """A value with a single member."""

    number: float


def test_it_is_the_text_that_json_has() -> None:
    values: tuple[Any, ...] = (True, None, 7, 0.1, 1e300, float("inf"), 'a "ä"\n', (), {}, [1, (True, "x")], {"a": {1}})
    for value in values:
        assert "".join(encoded(value)) == json.dumps(value, separators=(",", ":"), default=list)
    assert "".join(encoded({ip_address("10.0.0.1"): _One(1.5)})) == '[["10.0.0.1",{"number":1.5}]]'


def test_in_parts_it_is_the_same_text() -> None:
    value = {"sets": ({1}, {2}), "pairs": {(1, True): _One(0.5), (2, False): _One(1.0)}, "bytes": b"x", "none": None}
    whole = "".join(encoded(value))
    assert all("".join(encoded(value, depth)) == whole for depth in range(1, 5))
    assert len(list(encoded(value, 3))) > len(list(encoded(value, 1))) > 1


@dataclass(frozen=True)
class _Later:
    """A value to which a later version has added a member, and of which it has dropped one."""

    family: IPFamily
    address: IPv4Address | None = None
    interface: IPv4Interface | None = None
    added: int = 5


def test_what_another_version_stored() -> None:
    found = decode(_Later, {"family": "v6", "address": "10.0.0.1", "dropped": [1]})
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
            decode(_Later, wrong)
