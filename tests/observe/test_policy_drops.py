"""What the agent's list of metrics says of policies."""

from __future__ import annotations

import json

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.observe.policy_drops import policy_drops_from

ROWS = [
    {"reason": "Success", "direction": "EGRESS", "packets": 800, "bytes": 9},
    {"reason": "Policy denied", "direction": "EGRESS", "packets": 7, "bytes": 9},
    {"reason": "Policy denied", "direction": "INGRESS", "packets": 5, "bytes": 9, "line": 12, "file": "bpf_lxc.c"},
    {"reason": "Policy denied by denylist", "direction": "INGRESS", "packets": 2, "bytes": 9},
    {"reason": "Invalid packet", "direction": "INGRESS", "packets": 3, "bytes": 9},
]


@pytest.mark.parametrize(("text", "drops"), [(json.dumps(ROWS), 14), ("[]", 0), ("null", 0)])
def test_drops(text: str, drops: int) -> None:
    assert policy_drops_from(text) == drops


@pytest.mark.parametrize(
    "text", ["", "REASON  DIRECTION", "[1]", '[{"reason": "x"}]', "7", '[{"reason": 1, "packets": []}]']
)
def test_what_is_no_list_of_metrics(text: str) -> None:
    with pytest.raises(ObservationError, match="list of metrics cannot be read"):
        policy_drops_from(text)
