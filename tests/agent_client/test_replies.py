"""What agents reply becomes values of the model: nothing is lost on the way, and nothing is made up."""

from __future__ import annotations

import base64
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent_client.accounts import SentAccount, ServedAccount, delivery, failed_delivery
from pytest_ciliumwg.agent_client.replies import sighting, watch_report
from pytest_ciliumwg.errors import AgentError
from pytest_ciliumwg.flows.plan import pod_flow
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPFamily, Pod
from pytest_ciliumwg.model.traffic import Flow, Protocol
from pytest_ciliumwg.model.watch import ControlSeen, Foreign, Passage

NODES = ["one", "two"]
SENT: dict[str, Any] = {
    "id": 7,
    "sent": 5,
    "received": 4,
    "bytes": 640,
    "repeated": 1,
    "duplicates": 2,
    "reordered": 3,
    "error": "Network is unreachable",
    "started": 10.5,
    "finished": 11.5,
    "refused": False,
    "unfinished": False,
    "stalled": 0.0,
    "typical": 0.0,
}
SERVED: dict[str, Any] = {"id": 7, "served": 5, "first": 10.6, "last": 11.4, "stalled": 0.0}  # fmt: skip


def seen(mark: int, **fields: Any) -> dict[str, Any]:
    return {
        "flow": 3, "mark": mark, "device": "eth0", "outgoing": True, "how": "canary", "count": 2, "first": 1.0,
        "last": 2.0, "layers": "eth/ipv4/icmp", "frames": [[1.0, base64.b64encode(b"frame").decode(), 60]],
    } | fields  # fmt: skip


INSIDE = {
    "device": "cilium_wg0", "present": True, "frames": 99, "missed": 3, "controls": [2, 3, 0],
    "passages": [
        [3, True, "canary", 4, 900, 10.0, 11.0, 2], [3, True, "header", 2, 0, 9.5, 10.5, 0],
        [4, False, "header", 1, 0, 12.0, 12.0, 0],
    ],
}  # fmt: skip


PODS = {
    "missed": 2, "controls": [["eth0", 4], ["eth0", 6]],
    "conversations": [["10.0.0.5", "10.0.1.5", 6, "eth0", True, "vxlan", 7, 10.0, 12.5, 40000, 5432]],
}  # fmt: skip


SAMPLE = {"source": "172.18.0.2", "destination": "172.18.0.3", "sampled": 5, "periodic": 1, "repeated": 2}


def reply(*rows: dict[str, Any]) -> dict[str, Any]:
    device = {
        "frames": 9, "kernel_frames": 10, "drops": 1, "truncated": 0,
        "wireguard": {"messages": [], "samples": [SAMPLE], "drops": 4},
        "foreign": {"flows": 1, "wireguard": 2, "pods": 3},
    }  # fmt: skip
    return {
        "started": 1.0,
        "stopped": 2.0,
        "kernel": "6.1.0",
        "devices": {"eth0": device},
        "seen": list(rows),
        "errors": ["it was cut off"],
        "inside": INSIDE,
        "pods": PODS,
    }


def flow() -> Flow:
    source = Pod(name="one", namespace="test", node="one", addresses=(ip_address("10.0.0.1"),))
    destination = Pod(name="two", namespace="test", node="two", addresses=(ip_address("10.0.1.1"),))
    return pod_flow(FlowNumbers(), "pair", source, destination, IPFamily.V4, Protocol.UDP, 100, 5)


def test_a_delivery_with_and_without_a_server_that_counts() -> None:
    counted = delivery(flow(), SentAccount(**SENT), ServedAccount(**SERVED), None)
    assert (counted.flow, counted.sent, counted.received, counted.served) == (7, 5, 4, 5)
    assert (counted.payload_bytes, counted.repeated, counted.duplicates, counted.reordered) == (640, 1, 2, 3)
    assert (counted.started, counted.finished, counted.served_first, counted.served_last) == (10.5, 11.5, 10.6, 11.4)
    assert counted.error == "Network is unreachable"
    assert counted.unmeasured is None
    kernel = delivery(flow(), SentAccount(**SENT), None, None)
    assert (kernel.served, kernel.served_first, kernel.served_last) == (-1, 0.0, 0.0)


def test_a_sender_that_gave_no_account_delivered_nothing() -> None:
    failed = failed_delivery(flow())
    assert (failed.flow, failed.sent, failed.received) == (0, 0, 0)
    assert failed.error == "the agent in test/one gave no account of it"


def test_controls_and_sightings_are_told_apart() -> None:
    report = watch_report("one", reply(seen(canary.CONTROL), seen(canary.REPLY)), None, NODES)
    assert report.controls == {ControlSeen(sender="two", phase=1, device="eth0", outgoing=True, way="ICMP echo")}
    (sighted,) = report.sightings
    assert (sighted.flow, sighted.direction, sighted.frames, sighted.node) == (3, "reply", 2, "one")
    assert sighted.evidence[0].data == b"frame"
    assert sighted.evidence[0].length == 60


def test_quoted_headers_are_no_sightings() -> None:
    report = watch_report("one", reply(seen(canary.REPLY) | {"how": "quoted"}), None, NODES)
    assert not report.sightings
    assert [(sighted.flow, sighted.how) for sighted in report.quoted] == [(3, "quoted")]


def test_counts_and_errors_are_kept() -> None:
    report = watch_report("one", reply(), "it began late", NODES)
    assert report.errors == ("it began late", "it was cut off")
    device = report.devices["eth0"]
    assert (device.frames, device.kernel_frames, device.drops, device.wireguard_drops) == (9, 10, 1, 4)
    assert device.foreign == Foreign(flows=1, wireguard=2, pods=3)


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


@pytest.mark.parametrize(
    ("sent", "served", "not_served", "why"),
    [
        ({"stalled": 1.5}, {}, None, "the agent in test/one was not run for 1.5 s"),
        ({}, {"stalled": 2.0}, None, "the agent in test/two was not run for 2.0 s"),
        ({"refused": True, "error": "Operation not permitted"}, {}, None, "cannot send it: Operation not permitted"),
        ({"unfinished": True}, {}, None, "the agent in test/one had no time to finish it"),
        ({}, {}, "the port is taken", "the port is taken"),
        ({"typical": 0.6}, {}, None, "half of the answers to test/one took 0.6 s and more"),
        ({"stalled": 0.9, "typical": 0.4}, {"stalled": 0.9}, None, None),
    ],
)
def test_what_our_own_agents_did_not_do(
    sent: dict[str, Any], served: dict[str, Any], not_served: str | None, why: str | None
) -> None:
    accounts = SentAccount(**SENT | sent), ServedAccount(**SERVED | served)
    unmeasured = delivery(flow(), *accounts, not_served).unmeasured
    assert (unmeasured is None) if why is None else (why in (unmeasured or ""))


def test_what_passed_inside_by_flow_and_direction() -> None:
    inside = watch_report("two", reply(), None, NODES).inside
    assert inside is not None
    assert (inside.present, inside.missed) == (True, 3)
    assert inside.controls == {0, 1}, "numbers 2 and 3 are those of the second node, 0 is the first node's"
    assert inside.passages == {
        (3, True): Passage(frames=4, bytes=900, short=2, first_at=9.5, last_at=11.0, numbers=2),
        (4, False): Passage(frames=0, bytes=0, short=1, first_at=12.0, last_at=12.0),
    }


def test_the_sample_of_ciphertext() -> None:
    (sample,) = watch_report("two", reply(), None, NODES).devices["eth0"].ciphertext
    assert (str(sample.source), str(sample.destination)) == ("172.18.0.2", "172.18.0.3")
    assert (sample.sampled, sample.periodic, sample.repeated) == (5, 1, 2)


def test_packets_between_other_pods() -> None:
    pods = watch_report("two", reply(), None, NODES).pods
    assert pods is not None
    assert (pods.missed, sorted(pods.controls, key=str)) == (2, [("eth0", IPFamily.V4), ("eth0", IPFamily.V6)])
    (seen,) = pods.conversations
    assert (str(seen.source), str(seen.destination), seen.protocol, seen.tunnel) == ("10.0.0.5", "10.0.1.5", 6, "vxlan")
    assert (seen.frames, seen.first_at, seen.last_at) == (7, 10.0, 12.5)
    assert (seen.source_port, seen.destination_port, seen.device, seen.outgoing) == (40000, 5432, "eth0", True)


def test_a_watch_without_an_answer_saw_nothing_beside_the_flows() -> None:
    report = watch_report("two", AgentError("gone"), None, NODES)
    assert (report.inside, report.pods) == (None, None)
