"""What is concluded from several nodes' states."""

from __future__ import annotations

from dataclasses import replace

from pytest_ciliumwg.model.node_state import machines
from tests.checks.test_readings import STATE


def test_the_machines_of_a_cluster_are_known_only_where_each_node_told() -> None:
    one, other = (replace(STATE, macs=frozenset({mac})) for mac in ("02:00:00:00:00:01", "02:00:00:00:00:02"))
    assert machines([one, other]) == one.macs | other.macs
    assert machines([one, replace(other, macs=frozenset())]) == frozenset()
    assert machines([]) == frozenset()
