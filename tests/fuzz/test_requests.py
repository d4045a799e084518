"""The agent on arbitrary requests: it always answers, and says what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ciliumwg.agent.service import Agent

QUICK = settings(max_examples=200, deadline=3000, database=None, suppress_health_check=list(HealthCheck))
OPERATIONS = (
    "hello", "mtu", "watch-start", "watch-peek", "watch-collect", "watch-stop", "control", "serve", "serve-stop",
    "watch-heartbeat", "send", "collect", "stream-start", "stream-collect", "stream-stop",
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 2**40), st.floats(), st.text(max_size=8),
        st.sampled_from(["left", "nowhere", "127.0.0.1", "::1", "udp", "tcp", "icmp", "00112233445566ff"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
FIELDS = st.sampled_from(
    ["job", "secret", "devices", "flows", "ring", "wireguard_port", "number", "targets", "destinations", "wait"]
)


@pytest.mark.usefixtures("netns")
@QUICK
@given(st.sampled_from(OPERATIONS), st.dictionaries(FIELDS, VALUES, max_size=6))
def test_requests_that_make_no_sense(operation: str, fields: dict[str, Any]) -> None:
    reply = Agent().handle(json.dumps({"op": operation, **fields}).encode())
    assert reply["ok"] in (True, False)
    if not reply["ok"]:
        assert reply["error"]


WATCH: dict[str, Any] = {
    "op": "watch-start", "job": "w", "secret": "00", "devices": ["left"], "flows": [], "exclusive": [], "own": [],
    "pods": [], "machines": [],
    "ring": {"block_size": 4096, "blocks": 2}, "wireguard_port": 51871, "inside": None,
    "pod_controls": [],
    "retire_ms": 100,
}  # fmt: skip


@pytest.mark.usefixtures("netns")
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ring": {"block_size": 1 << 20, "blocks": 1 << 20}}, "a ring of more than 67108864 bytes"),
        ({"devices": ["left"] * 65}, "65 devices are more than 64"),
        ({"exclusive": ["10.0.0.1"] * 20000}, "20000 exclusive are more than 16384"),
        ({"machines": ["02:00:00:00:00:01"] * 70000}, "70000 machines are more than 65536"),
        ({"machines": ["02:00:00:00:00"]}, "is no Ethernet address"),
        ({"pods": ["10.0.0.0/8"] * 33}, "33 pods are more than 32"),
        ({"pods": [f"10.{n}.0.0/16" for n in range(20)]}, "more than 16 pod networks"),
    ],
)
def test_a_watch_that_would_take_too_much_is_refused(fields: dict[str, Any], why: str) -> None:
    reply = Agent().handle(json.dumps(WATCH | fields).encode())
    assert not reply["ok"]
    assert why in reply["error"]


def test_json_of_any_depth_is_answered() -> None:
    for line in (b"[" * 200_000, b'{"op":' * 100_000):
        assert not Agent().handle(line)["ok"]


@QUICK
@given(st.one_of(st.binary(max_size=100), VALUES.map(lambda value: json.dumps(value).encode())))
def test_lines_that_are_no_request(line: bytes) -> None:
    reply = Agent().handle(line)
    # A line may happen to be a request after all.
    assert reply["ok"] is True or reply["error"]
