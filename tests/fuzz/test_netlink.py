"""Bytes that the kernel would never send: they are passed over, and the next message is heard."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ciliumwg.agent.capture import netlink
from pytest_ciliumwg.agent.capture.kernel_events import KernelEvents

QUICK = settings(max_examples=300, deadline=3000, database=None, suppress_health_check=list(HealthCheck))
KINDS = st.one_of(st.sampled_from([16, 17, 24, 25, 32, 33, 36, 37, 44, 45]), st.integers(0, 65535))


def attribute(kind: int, value: bytes, lie: int = 0) -> bytes:
    head = struct.pack("=HH", max(0, 4 + len(value) + lie), kind)
    return head + value + b"\0" * (-len(value) % 4)


ATTRIBUTES = st.builds(
    attribute, st.integers(0, 40), st.one_of(st.binary(max_size=20), st.just(b"left\0")), st.integers(-8, 8)
)


def message(kind: int, head: bytes, attributes: list[bytes], lie: int) -> bytes:
    body = head + b"".join(attributes)
    return struct.pack("=IHHII", max(0, 16 + len(body) + lie), kind, 0, 0, 0) + body


MESSAGES = st.builds(
    message, KINDS,
    st.one_of(st.binary(max_size=24), st.builds(lambda tail: b"\2\0\0\0" + tail, st.binary(max_size=20))),
    st.lists(ATTRIBUTES, max_size=4), st.sampled_from([0, 0, 0, 4, -4, 1000]),
)  # fmt: skip


@pytest.mark.usefixtures("netns")
@QUICK
@given(st.one_of(st.binary(max_size=200), st.lists(MESSAGES, max_size=4).map(b"".join)))
def test_messages_that_make_no_sense(data: bytes) -> None:
    events = KernelEvents(["left"])
    try:
        events.feed(data)
        events.flush()
        links = struct.pack("=BxHiII", 0, 0, 7, 1, 0) + attribute(3, b"cilium_wg0\0")
        events.feed(message(netlink.NEW_LINK, links, [], 0))
        events.feed(message(netlink.DEL_LINK, links, [], 0))
        assert "cilium_wg0 was removed" in [entry["what"] for entry in events.flush()]
    finally:
        events.close()
