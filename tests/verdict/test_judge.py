"""From a measurement to verdicts: each reason for which a silence proves nothing, and what comes before which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import Node
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.traffic import Delivery, Flow, Protocol, Verdict
from pytest_ciliumwg.model.watch import (
    ControlSeen,
    DeviceReport,
    InsideReport,
    MessageKind,
    Passage,
    WatchReport,
    WireGuardMessages,
)
from pytest_ciliumwg.verdict.judge import Judge, Judgement
from tests.watch.made import clear

ADDRESSES = {"one": ip_address("192.0.2.1"), "two": ip_address("192.0.2.2")}
NODES = [Node(name=name, addresses=(address,)) for name, address in ADDRESSES.items()]
FLOW = Flow(
    id=0,
    purpose="pair",
    source_node="one",
    destination_node="two",
    source_pod="t/one",
    destination_pod="t/two",
    source=ip_address("10.0.0.1"),
    destination=ip_address("10.0.1.1"),
    protocol=Protocol.UDP,
    port=20000,
    payload_size=64,
    count=3,
)
Edit = Callable[[Measurement], Measurement]


def data(source: str, destination: str, *, outgoing: bool, **other: Any) -> WireGuardMessages:
    given: dict[str, Any] = {
        "kind": MessageKind.DATA,
        "keepalive": False,
        "fragmented": False,
        "count": 3,
        "bytes": 300,
    }
    given |= {"source": ADDRESSES[source], "destination": ADDRESSES[destination], "outgoing": outgoing}
    return WireGuardMessages(**given | other)


def watch(node: str, peer: str) -> WatchReport:
    """A sound watch, which has seen the node's own control canaries and the other's, and data both ways."""
    messages = (data(node, peer, outgoing=True), data(peer, node, outgoing=False))
    device = DeviceReport(frames=99, kernel_frames=99, drops=0, truncated=0, wireguard=messages, wireguard_drops=0)
    controls = {
        ControlSeen(sender=sender, phase=phase, device="eth0", outgoing=sender == node, way="broadcast")
        for sender in (node, peer)
        for phase in (0, 1)
    }
    return WatchReport(
        node=node,
        started=100.0,
        stopped=200.0,
        devices={"eth0": device},
        controls=frozenset(controls),
        sightings=(),
        inside=inside(),
    )


def inside(**parts: Any) -> InsideReport:
    """A sound watch inside the tunnel, where the flow's three messages went in and came out."""
    passage = Passage(frames=3, bytes=180, short=0, first_at=110.0, last_at=120.0)
    given: dict[str, Any] = {"present": True, "missed": 0, "controls": frozenset({0, 1})}
    given |= {"passages": {(0, True): passage, (0, False): passage}}
    return InsideReport(**given | parts)


def sound() -> Measurement:
    delivery = Delivery(
        flow=0, sent=3, received=3, served=3, payload_bytes=192,
        started=110.0, finished=120.0, served_first=110.0, served_last=120.0,
    )  # fmt: skip
    watches = {"one": watch("one", "two"), "two": watch("two", "one")}
    last = Reading(nodes=(), states={}, pods_before=frozenset(), pods_after=frozenset())
    return Measurement(flows=(FLOW,), deliveries={0: delivery}, watches=watches, before={}, last=last, problems=())


def watched(node: str, **parts: Any) -> Edit:
    """The measurement with parts of a node's watch."""
    return lambda made: replace(made, watches={**made.watches, node: replace(made.watches[node], **parts)})


def within(node: str, **parts: Any) -> Edit:
    """The measurement with parts of what passed inside the tunnel on a node."""
    return watched(node, inside=inside(**parts))


def counted(node: str, **parts: Any) -> Edit:
    """The measurement with parts of what a node's device counted."""

    def edit(made: Measurement) -> Measurement:
        device = replace(made.watches[node].devices["eth0"], **parts)
        return watched(node, devices={"eth0": device})(made)

    return edit


def delivered(**parts: Any) -> Edit:
    """The measurement with parts of the delivery."""
    return lambda made: replace(made, deliveries={0: replace(made.deliveries[0], **parts)})


def without_control(node: str, sender: str, phase: int) -> Edit:
    """The measurement without a control canary that a node's watch should have seen."""

    def edit(made: Measurement) -> Measurement:
        left = {seen for seen in made.watches[node].controls if (seen.sender, seen.phase) != (sender, phase)}
        return watched(node, controls=frozenset(left))(made)

    return edit


def judged(*edits: Edit) -> Judgement:
    made = sound()
    for edit in edits:
        made = edit(made)
    (judgement,) = Judge(made, NODES).judgements
    return judgement


def test_delivered_and_seen_in_wireguard_alone_is_encrypted() -> None:
    assert judged().verdict is Verdict.ENCRYPTED


SIGHTED = watched("two", sightings=(clear(frames=2), clear(frames=5)))
FEW = (data("one", "two", outgoing=False, count=2), data("two", "one", outgoing=True))
MERGED = (data("one", "two", outgoing=False, count=1, bytes=900), data("two", "one", outgoing=True))
KEEPALIVES = (data("one", "two", outgoing=True), data("two", "one", outgoing=False, keepalive=True))
HANDSHAKES = (data("one", "two", outgoing=True), data("two", "one", outgoing=False, kind=MessageKind.INITIATION))
CASES: list[tuple[Edit, str, str]] = [
    (SIGHTED, "cleartext", "7 frames in cleartext"),
    (delivered(received=2), "unreachable", "2 of 3 messages answered"),
    (delivered(received=0, error="Message too long"), "unreachable", "Message too long"),
    (watched("one", errors=("one broke",)), "inconclusive", "one broke"),
    (watched("two", errors=("two broke",)), "inconclusive", "two broke"),
    (counted("one", drops=4), "inconclusive", "the kernel dropped 4 of 99 frames on one eth0"),
    (counted("two", truncated=1), "inconclusive", "1 frames on two eth0 were cut off"),
    (without_control("one", "one", 0), "inconclusive", "one eth0 did not see its own control canary before"),
    (without_control("two", "two", 1), "inconclusive", "two eth0 did not see its own control canary after"),
    (without_control("one", "two", 0), "inconclusive", "one did not see the control canary of two before"),
    (without_control("two", "one", 1), "inconclusive", "two did not see the control canary of one after"),
    (watched("one", started=110.5), "inconclusive", "began 0.500 s before the watch on one"),
    (watched("two", started=110.5), "inconclusive", "began 0.500 s before the watch on two"),
    (watched("one", stopped=119.0), "inconclusive", "ended 1.000 s after the watch on one"),
    (watched("two", stopped=119.0), "inconclusive", "ended 1.000 s after the watch on two"),
    (counted("one", wireguard=()), "inconclusive", "one to two, but one saw only 0 WireGuard data messages"),
    (counted("two", wireguard=()), "inconclusive", "one to two, but two saw only 0 WireGuard data messages"),
    (counted("one", wireguard=KEEPALIVES), "inconclusive", "two to one, but one saw only 0 WireGuard data messages"),
    (counted("two", wireguard=HANDSHAKES), "inconclusive", "two to one, but two saw only 0 WireGuard data messages"),
    (counted("two", wireguard=FEW), "inconclusive", "3 packets of ours came through the tunnel from one to two, but"),
    (delivered(received=2, unmeasured="it was not run"), "inconclusive", "it was not run"),
    (within("one", missed=2), "inconclusive", "2 packets inside the tunnel on one were not read"),
    (within("two", controls=frozenset({0})), "inconclusive", "did not see its own control canary after the flows"),
    (within("two", present=False), "inconclusive", "there is no device cilium_wg0 on two"),
    (watched("one", inside=None), "inconclusive", "the inside of the tunnel was not watched on one"),
    (within("one", passages={}), "bypass", "its requests never entered cilium_wg0 on one"),
    (within("two", passages={}), "bypass", "its requests never came out of cilium_wg0 on two"),
]


@pytest.mark.parametrize(("edit", "verdict", "reason"), CASES, ids=[reason for _, _, reason in CASES])
def test_what_is_wrong_and_the_verdict(edit: Edit, verdict: str, reason: str) -> None:
    judgement = judged(edit)
    assert judgement.verdict is Verdict(verdict)
    assert reason in judgement.reason


def test_what_the_version_drops_by_design_is_lost_whatever_the_agents_did() -> None:
    made = delivered(received=0, unmeasured="it was not run")(sound())
    made = replace(made, flows=(replace(FLOW, dropped_by_design=True),))
    assert Judge(made, NODES).judgements[0].verdict is Verdict.UNREACHABLE


def test_messages_that_the_kernel_merged_count_by_their_bytes() -> None:
    assert judged(counted("two", wireguard=MERGED)).verdict is Verdict.ENCRYPTED


def test_what_was_not_in_the_tunnel_needs_no_other_proof() -> None:
    assert judged(within("one", passages={}), watched("two", errors=("it broke",))).verdict is Verdict.BYPASS


def test_what_was_seen_in_cleartext_is_not_called_another_way() -> None:
    assert judged(within("one", passages={}), SIGHTED).verdict is Verdict.CLEARTEXT


def test_cleartext_counts_whatever_else_is_wrong() -> None:
    worst = judged(SIGHTED, delivered(received=0), watched("one", errors=("it broke",)))
    assert worst.verdict is Verdict.CLEARTEXT
    assert [seen.frames for seen in worst.sightings] == [2, 5]


def test_what_was_not_delivered_is_unreachable_however_blind_the_watch() -> None:
    assert judged(delivered(received=0), watched("one", errors=("it broke",))).verdict is Verdict.UNREACHABLE


def test_icmp_is_covered_by_its_sender_alone() -> None:
    # The kernel answers and counts nothing: the times at the server are 0.
    assert judged(delivered(served=-1, served_first=0.0, served_last=0.0)).verdict is Verdict.ENCRYPTED


def test_frames_of_no_known_flow_are_cleartext_of_nobody() -> None:
    made = watched("two", sightings=(clear(flow=7),))(sound())
    judge = Judge(made, NODES)
    assert judge.judgements[0].verdict is Verdict.ENCRYPTED
    assert [seen.flow for seen in judge.unattributed] == [7]


def test_blindness_names_every_reason_of_a_node() -> None:
    made = counted("one", drops=1, truncated=2)(without_control("one", "one", 0)(sound()))
    blindness = Judge(made, NODES).blindness
    assert blindness.keys() == {"one"}
    assert len(blindness["one"]) == 3


@pytest.mark.parametrize(
    ("node", "outgoing", "verdict"),
    [
        ("one", False, Verdict.ENCRYPTED),
        ("one", True, Verdict.CLEARTEXT),
        ("two", False, Verdict.CLEARTEXT),
    ],
)
def test_what_comes_from_outside_is_judged_between_the_nodes(node: str, outgoing: bool, verdict: Verdict) -> None:
    def forwarded(made: Measurement) -> Measurement:
        return replace(made, flows=(replace(FLOW, purpose="path", path="north-south"),))

    # A client's own clock is compared with nobody's.
    seen = watched(node, sightings=(clear(node=node, outgoing=outgoing),))
    assert judged(forwarded, delivered(started=1.0, finished=2.0), seen).verdict is verdict
