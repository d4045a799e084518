"""The chain of custody: how much has to pass each of a flow's four points, and what is less than that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_ciliumwg.model.traffic import Delivery, Flow, Protocol
from pytest_ciliumwg.model.watch import Passage
from pytest_ciliumwg.verdict.custody import NOTHING, Point, least_messages, points, shortage
from tests.verdict.test_judge import FLOW

INTO, OUT = Point("one", True, "request"), Point("two", False, "request")
DELIVERY = Delivery(flow=0, sent=3, received=3, served=5, payload_bytes=192)


def flow(protocol: Protocol = Protocol.UDP, size: int = 1000) -> Flow:
    return replace(FLOW, protocol=protocol, payload_size=size)


def passage(**counts: Any) -> Passage:
    return replace(NOTHING, **counts)


def test_a_flow_passes_four_points() -> None:
    assert points(FLOW) == (INTO, OUT, Point("two", True, "reply"), Point("one", False, "reply"))


def test_what_reached_the_server_of_a_udp_flow_came_out_of_the_tunnel() -> None:
    assert least_messages(flow(), DELIVERY, OUT) == 5, "requests that were repeated too"
    assert least_messages(flow(), DELIVERY, INTO) == 3
    assert least_messages(flow(Protocol.ICMP), replace(DELIVERY, served=-1), OUT) == 3
    assert least_messages(flow(Protocol.TCP), DELIVERY, OUT) == 3, "of a stream the server counts no packets"


@pytest.mark.parametrize(
    ("protocol", "size", "seen", "enough"),
    [
        (Protocol.UDP, 1000, {"frames": 3, "bytes": 2990}, True),
        (Protocol.UDP, 1000, {"frames": 2, "bytes": 2990}, False),  # one went another way, however large the others
        (Protocol.ICMP, 1000, {"frames": 2, "bytes": 2000}, False),
        (Protocol.UDP, 2760, {"frames": 6, "bytes": 3 * 2730}, True),  # two fragments of each message
        (Protocol.UDP, 2760, {"frames": 3, "bytes": 3 * 1380}, False),  # the second fragments went another way
        (Protocol.TCP, 4000, {"frames": 9, "bytes": 11_900}, True),
        (Protocol.TCP, 4000, {"frames": 1, "bytes": 11_990}, True),  # segments that the kernel cuts later
        (Protocol.TCP, 4000, {"frames": 8, "bytes": 10_550}, False),  # one segment of nine went another way
        (Protocol.UDP, 1000, {"frames": 3, "bytes": 2990, "numbers": 3}, True),
        (Protocol.UDP, 1000, {"frames": 3, "bytes": 2990, "numbers": 2}, False),  # one passed twice, one elsewhere
        (Protocol.TCP, 4000, {"frames": 9, "bytes": 11_900, "numbers": 1}, True),  # a stream has no numbers to count
        (Protocol.UDP, 1, {"short": 3}, True),
        (Protocol.UDP, 1, {"short": 2}, False),
        (Protocol.UDP, 1, {"short": 2, "bytes": 2}, False),
        (Protocol.UDP, 1, {"short": 2, "bytes": 3}, True),  # two of them merged into one packet
        (Protocol.TCP, 4000, {"short": 9}, False),  # acknowledgements alone
    ],
)
def test_how_much_is_enough(protocol: Protocol, size: int, seen: dict[str, Any], enough: bool) -> None:
    assert (shortage(flow(protocol, size), INTO, passage(**seen), 3) is None) is enough


def test_what_is_missing_is_said_with_its_node_and_direction() -> None:
    assert shortage(flow(), INTO, NOTHING, 3) == (
        "it was delivered, and its requests never entered cilium_wg0 on one: it went another way"
    )
    assert shortage(flow(), Point("one", False, "reply"), passage(frames=2, bytes=2000), 3) == (
        "it was delivered, and only 2 packets (2000 bytes) of its 3 replies of 1000 bytes came out of cilium_wg0 "
        "on one: the rest went another way"
    )


def test_a_message_that_passed_twice_does_not_stand_for_another() -> None:
    assert shortage(flow(), Point("one", False, "reply"), passage(frames=3, bytes=3000, numbers=2), 3) == (
        "it was delivered, and 3 packets hold only 2 of its 3 different replies where they came out of cilium_wg0 on "
        "one: the others went another way"
    )
