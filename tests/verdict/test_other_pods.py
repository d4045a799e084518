"""Other pods in cleartext: whose an address is, what counts, and when silence proves nothing."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.model.cluster import IPFamily, Node, Pod
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.watch import Conversation, PodsReport
from pytest_ciliumwg.verdict.other_pods import in_clear, told, unproven
from tests.verdict.test_judge import sound, watched

WEB = Pod(name="web", namespace="shop", node="one", addresses=(ip_address("10.0.0.5"),))
DB = Pod(name="db", namespace="shop", node="two", addresses=(ip_address("10.0.1.5"),))
NEIGHBOUR = Pod(name="cache", namespace="shop", node="one", addresses=(ip_address("10.0.0.6"),))
V4 = frozenset({IPFamily.V4})


def conversation(source: str = "10.0.0.5", destination: str = "10.0.1.5", **parts: Any) -> Conversation:
    given: dict[str, Any] = {
        "protocol": 6, "source_port": 40000, "destination_port": 5432, "device": "eth0", "outgoing": True,
        "tunnel": "", "frames": 7, "first_at": 10.0, "last_at": 12.5,
    }  # fmt: skip
    ends = {"source": ip_address(source), "destination": ip_address(destination)}
    return Conversation(**given | ends | parts)


def report(*conversations: Conversation, missed: int = 0, heard: bool = True) -> PodsReport:
    controls = frozenset({("eth0", IPFamily.V4)} if heard else ())
    return PodsReport(missed=missed, controls=controls, conversations=conversations)


def measured(*conversations: Conversation, pods: tuple[Pod, ...] = (WEB, DB, NEIGHBOUR)) -> Measurement:
    made = watched("one", pods=report(*conversations))(watched("two", pods=report())(sound()))
    return replace(made, pods=frozenset(pods))


def test_packets_between_pods_on_two_nodes_are_in_clear() -> None:
    (clear,) = in_clear(measured(conversation(), conversation(protocol=17, frames=2, outgoing=False)))
    assert (clear.source, clear.destination, clear.frames) == (WEB, DB, 7)
    assert told(clear).startswith(
        "7 frames TCP 10.0.0.5 → 10.0.1.5 port 40000 → 5432 leaving one eth0 in cleartext from 00:00:10.000 to "
        "00:00:12.500; 2 frames UDP"
    )


@pytest.mark.parametrize("stale_node", ["one", "two"])
def test_an_endpoint_that_was_left_behind_hides_no_leak(stale_node: str) -> None:
    stale = [Pod(name="gone", namespace="shop", node=stale_node, addresses=pod.addresses) for pod in (WEB, DB)]
    (clear,) = in_clear(measured(conversation(), pods=(WEB, DB, *stale)))
    assert clear.source.node != clear.destination.node


def test_what_ingress_sends_to_a_pod_on_another_node_and_its_answer_are_in_clear() -> None:
    node = Node(name="two", addresses=(), ingress_addresses=(ip_address("10.0.1.9"),))
    reading = Reading(nodes=(node,), states={}, pods_before=frozenset({WEB}), pods_after=frozenset({WEB, NEIGHBOUR}))
    made = measured(
        conversation("10.0.1.9", "10.0.0.5"), conversation("10.0.0.5", "10.0.1.9"), pods=tuple(reading.ends)
    )
    request, answer = in_clear(made)
    assert (request.source.key, request.source.node, request.destination) == ("reserved/ingress", "two", WEB)
    assert (answer.source, answer.destination.key) == (WEB, "reserved/ingress")


@pytest.mark.parametrize(
    "seen",
    [
        conversation(destination="10.0.0.6"),  # on the same node
        conversation(source="10.0.0.1"),  # Cilium's own address, which is no pod's
        conversation(destination="10.0.1.9"),  # of a pod that came or went meanwhile
    ],
)
def test_what_is_not_known_to_be_two_pods_on_two_nodes_is_no_leak(seen: Conversation) -> None:
    assert list(in_clear(measured(seen))) == []


def test_a_pod_that_was_not_there_all_the_time_is_not_blamed() -> None:
    assert list(in_clear(measured(conversation(), pods=(WEB,)))) == []


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        (None, "were not watched"),
        (report(missed=3), "3 packets between pods were not counted"),
        (report(heard=False), "the watch on eth0 did not see its own IPv4 control packet between pods"),
    ],
)
def test_when_silence_proves_nothing(pods: PodsReport | None, why: str) -> None:
    ((node, told_why),) = unproven(watched("two", pods=pods)(measured()), V4)
    assert node == "two"
    assert why in told_why


def test_a_sound_watch_proves_its_silence() -> None:
    assert list(unproven(measured(), V4)) == []
    assert list(unproven(watched("one", errors=("it broke",))(measured()), V4)) == [("one", "it broke")]
