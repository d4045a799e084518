"""What agents reply becomes values of the model: nothing is lost on the way, and nothing is made up."""

from __future__ import annotations

import base64
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent_client.replies import delivery, failed_delivery, sighting, watch_report
from pytest_ciliumwg.errors import AgentError
from pytest_ciliumwg.flows.plan import pod_flow
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPFamily, Pod
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.model.watch import ControlSeen

NODES = ["one", "two"]
SENT = {
    "id": 7, "sent": 5, "received": 4, "bytes": 640, "repeated": 1, "duplicates": 2, "reordered": 3,
    "error": "Network is unreachable", "started": 10.5, "finished": 11.5,
}  # fmt: skip


def seen(mark: int, **fields: Any) -> dict[str, Any]:
    return {
        "flow": 3, "mark": mark, "device": "eth0", "outgoing": True, "how": "canary", "count": 2, "first": 1.0,
        "last": 2.0, "layers": "eth/ipv4/icmp", "frames": [[1.0, base64.b64encode(b"frame").decode(), 60]],
    } | fields  # fmt: skip


def reply(*rows: dict[str, Any]) -> dict[str, Any]:
    device = {
        "frames": 9, "kernel_frames": 10, "drops": 1, "truncated": 0, "wireguard": {"messages": [], "drops": 4},
    }  # fmt: skip
    return {
        "started": 1.0,
        "stopped": 2.0,
        "devices": {"eth0": device},
        "seen": list(rows),
        "errors": ["it was cut off"],
    }


def test_a_delivery_with_and_without_a_server_that_counts() -> None:
    counted = delivery(SENT, {"served": 5, "first": 10.6, "last": 11.4})
    assert (counted.flow, counted.sent, counted.received, counted.served) == (7, 5, 4, 5)
    assert (counted.payload_bytes, counted.repeated, counted.duplicates, counted.reordered) == (640, 1, 2, 3)
    assert (counted.started, counted.finished, counted.served_first, counted.served_last) == (10.5, 11.5, 10.6, 11.4)
    assert counted.error == "Network is unreachable"
    kernel = delivery(SENT, None)
    assert (kernel.served, kernel.served_first, kernel.served_last) == (-1, 0.0, 0.0)


def test_a_sender_that_gave_no_account_delivered_nothing() -> None:
    source = Pod(name="one", namespace="test", node="one", addresses=(ip_address("10.0.0.1"),))
    destination = Pod(name="two", namespace="test", node="two", addresses=(ip_address("10.0.1.1"),))
    flow = pod_flow(FlowNumbers(), "pair", source, destination, IPFamily.V4, Protocol.UDP, 100, 5)
    failed = failed_delivery(flow)
    assert (failed.flow, failed.sent, failed.received) == (flow.id, 0, 0)
    assert failed.error == "the agent in test/one gave no account of it"


def test_controls_and_sightings_are_told_apart() -> None:
    report = watch_report("one", reply(seen(canary.CONTROL), seen(canary.REPLY)), None, NODES)
    assert report.controls == {ControlSeen(sender="two", phase=1, device="eth0", outgoing=True)}
    (sighted,) = report.sightings
    assert (sighted.flow, sighted.direction, sighted.frames, sighted.node) == (3, "reply", 2, "one")
    assert sighted.evidence[0].data == b"frame"
    assert sighted.evidence[0].length == 60


def test_counts_and_errors_are_kept() -> None:
    report = watch_report("one", reply(), "it began late", NODES)
    assert report.errors == ("it began late", "it was cut off")
    device = report.devices["eth0"]
    assert (device.frames, device.kernel_frames, device.drops, device.wireguard_drops) == (9, 10, 1, 4)


@pytest.mark.parametrize("blind", [None, "the watch on one did not start: no"])
def test_a_watch_without_a_result_says_why(blind: str | None) -> None:
    report = watch_report("one", AgentError("it is gone"), blind, NODES)
    assert report.errors == (blind or "the watch on one gave no result: it is gone",)
    assert not report.devices
    assert not report.controls


def test_a_control_of_an_unknown_node_is_nobody_s() -> None:
    report = watch_report("one", reply(seen(canary.CONTROL, flow=9)), None, NODES)
    assert [control.sender for control in report.controls] == ["node 4"]


def test_a_request_is_a_request() -> None:
    assert sighting("one", seen(canary.REQUEST)).direction == "request"
