"""What is said of traffic of a user's own pods: cleartext fails, and a silence that proves nothing is no pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from pytest_ciliumwg.checks import own_traffic
from pytest_ciliumwg.checks.own_traffic import OwnTraffic
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPFamily, Pod
from pytest_ciliumwg.model.timeline import BlindInterval, PodLife, Timeline
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.model.watch import Conversation, DeviceReport, MessageKind, Passage, WireGuardMessages

A, B = ip_address("192.0.2.1"), ip_address("192.0.2.2")
APP = Pod(name="app", namespace="shop", node="a", addresses=(ip_address("10.0.1.5"),))
STORE = Pod(name="store", namespace="shop", node="b", addresses=(ip_address("10.0.2.5"),))
NEAR = Pod(name="near", namespace="shop", node="a", addresses=(ip_address("10.0.1.6"),))


def device(size: int) -> DeviceReport:
    message = WireGuardMessages(
        outgoing=True, source=A, destination=B, kind=MessageKind.DATA, keepalive=False, fragmented=False,
        count=100, bytes=size,
    )  # fmt: skip
    return DeviceReport(frames=100, kernel_frames=100, drops=0, truncated=0, wireguard=(message,), wireguard_drops=0)


TIMELINE = Timeline(
    started=100.0,
    stopped=110.0,
    flows={},
    totals={},
    clear=(),
    outages=(),
    blind=(),
    events=(),
    counted={"a": {"eth0": device(60_000)}, "b": {"eth0": device(0)}},
    addresses={"a": frozenset({A}), "b": frozenset({B})},
    pod_lives=tuple(PodLife(pod=pod, first_at=0.0, last_at=110.0) for pod in (APP, STORE, NEAR)),
)
CLEAR = Conversation(
    source=STORE.addresses[0], destination=APP.addresses[0], protocol=6, source_port=80, destination_port=4000,
    device="eth0", outgoing=True, tunnel="", frames=3, first_at=103.0, last_at=104.0,
)  # fmt: skip


def told(timeline: Timeline, monkeypatch: pytest.MonkeyPatch, other: Pod | str = STORE) -> Verify:
    """What a check learns of traffic from the app to another pod, of which it says that it was 50 000 bytes."""
    watch = MagicMock(started=timeline.started, heartbeat_period=0.0)
    watch.stop.return_value = timeline
    monkeypatch.setattr(own_traffic, "continuous_watch", lambda *_, **__: watch)
    monkeypatch.setattr(own_traffic, "states_of", lambda *_: {})
    declared = SimpleNamespace(routing_mode="native")
    cluster = SimpleNamespace(provider="own", declared=declared, test_pods=lambda: (NEAR,), pods=lambda: (APP, STORE))
    verify = Verify()
    with OwnTraffic(cast("Any", cluster), 51871, print) as seen:
        with pytest.raises(RuntimeError, match="still open"):
            _ = seen.timeline
        with pytest.raises(ProviderError, match="the provider own can run no command in pods"):
            seen.run(APP, ["true"])
    seen.assert_encrypted(verify, "shop/app", other, at_least=50_000)
    return verify


def test_what_was_carried_and_not_seen_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    verify = told(TIMELINE, monkeypatch)
    assert (verify.verified, verify.findings, verify.not_measured) == (1, [], [])


def test_cleartext_either_way_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    verify = told(replace(TIMELINE, conversations=(("b", CLEAR),)), monkeypatch)
    (finding,) = verify.findings
    assert "3 frames TCP 10.0.2.5 → 10.0.1.5 port 80 → 4000 leaving b eth0 in cleartext" in finding.seen


def blind() -> Iterator[tuple[str, Timeline]]:
    interval = BlindInterval(node="b", first_at=104.0, last_at=105.0, why="deaf")
    ours = {"a": {(1, True): Passage(frames=500, bytes=50_000, short=0, first_at=101.0, last_at=109.0)}}
    flow = SimpleNamespace(pair=("b", "a"), family=IPFamily.V4, protocol=Protocol.UDP)
    yield "deaf", replace(TIMELINE, pods_blind=(interval,))
    yield "deaf", replace(TIMELINE, blind=(interval,))
    yield "no room", replace(TIMELINE, unsound=("no room",))
    yield "did not count to the end", replace(TIMELINE, counted={"a": {"eth0": device(60_000)}})
    yield "carried 49999 bytes", replace(TIMELINE, counted={**TIMELINE.counted, "a": {"eth0": device(49_999)}})
    yield "carried 0 bytes", replace(TIMELINE, inside=ours, flows=cast("Any", {1: flow}))


@pytest.mark.parametrize(
    ("why", "timeline"), list(blind()), ids=["pods deaf", "deaf", "unsound", "cut short", "less", "ours"]
)
def test_a_silence_that_proves_nothing_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, why: str, timeline: Timeline
) -> None:
    verify = told(timeline, monkeypatch)
    assert (verify.verified, verify.findings) == (0, [])
    assert why in "".join(map(str, verify.not_measured))


def test_pods_of_which_nothing_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "both are on a" in str(told(TIMELINE, monkeypatch, NEAR).not_supported)
    assert "no such pod was there" in str(told(TIMELINE, monkeypatch, "shop/gone").not_measured)
