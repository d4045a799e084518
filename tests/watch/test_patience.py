"""How long flows may take: it follows how many of them one processor has to carry."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.flows.plan import plan_flows
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.watch.one_shot import patience_for
from tests.flows.test_plan import DUAL, MTU, pods


@pytest.mark.parametrize(
    ("nodes", "crowding", "least", "most"),
    [(3, 1.0, 1, 1), (3, 1.5, 1, 1), (16, 8.0, 3, 8), (32, 16.0, 12, 25), (32, 1.0, 1, 2), (64, 32.0, 30, 30)],
)
def test_patience_follows_the_work(nodes: int, crowding: float, least: float, most: float) -> None:
    flows = plan_flows(pods(nodes), DUAL, lambda pod, address: MTU, FlowNumbers())
    assert least <= patience_for(flows, crowding) <= most


def test_no_flows_need_no_patience() -> None:
    assert patience_for((), 99.0) == 1.0
