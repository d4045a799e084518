"""What the agent's list of metrics says of policies and of the strict mode."""

from __future__ import annotations

import json

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.drops import Drops
from pytest_ciliumwg.observe.drops import drops_from

from .recordings import recording

ROWS = [
    {"reason": "Success", "direction": "EGRESS", "packets": 800, "bytes": 9},
    {"reason": "Policy denied", "direction": "EGRESS", "packets": 7, "bytes": 9},
    {"reason": "Policy denied", "direction": "INGRESS", "packets": 5, "bytes": 9, "line": 12, "file": "bpf_lxc.c"},
    {"reason": "Policy denied by denylist", "direction": "INGRESS", "packets": 2, "bytes": 9},
    {"reason": "Invalid packet", "direction": "INGRESS", "packets": 3, "bytes": 9},
    {"reason": "Traffic is unencrypted", "direction": "EGRESS", "packets": 4, "bytes": 9},
]
OLD = [
    {"reason": 0, "description": "Success", "values": {"egress": {"packets": 9, "bytes": 9}}},
    {
        "reason": 133,
        "description": "Policy denied",
        "values": {"egress": {"packets": 1, "bytes": 9}, "ingress": {"packets": 2, "bytes": 9}},
    },
]


@pytest.mark.parametrize(
    ("text", "drops"),
    [
        (json.dumps(ROWS), Drops(by_policies=14, unencrypted=4)),
        (json.dumps(OLD), Drops(by_policies=3)),
        (recording("v1.14/on/rig-worker/agent/bpf-metrics.json"), Drops()),
        ("[]", Drops()),
        ("null", Drops()),
    ],
)
def test_drops(text: str, drops: Drops) -> None:
    assert drops_from(text) == drops


@pytest.mark.parametrize(
    "text", ["", "REASON  DIRECTION", "[1]", '[{"reason": "x"}]', "7", '[{"reason": 1, "packets": []}]']
)
def test_what_is_no_list_of_metrics(text: str) -> None:
    with pytest.raises(ObservationError, match="list of metrics cannot be read"):
        drops_from(text)
