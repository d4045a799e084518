"""The nodes' state as a whole: the flows prove something of a cluster that stays as it is."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.checks.readings import Readings
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.model.place import Place


@pytest.mark.ciliumwg_check("state.steady", source="design: the state is read before the flows and after them")
def test_nothing_changed_while_the_flows_ran(readings: Readings, verify: Verify) -> None:
    """After the flows a node has the keys, peers, allowed IPs, rules, routes, devices and programs of before."""
    everywhere = Place.everywhere("all nodes")
    if readings.last is None:
        verify.unmeasured(everywhere, "no flows could be sent, so the nodes were looked at only once")
        return
    if readings.came_or_went:
        verify.unmeasured(everywhere, f"nodes joined or left meanwhile: {', '.join(readings.came_or_went)}")
        return
    changes = {change.node: change for change in readings.changes()}
    for node, after in readings.last.states.items():
        before = readings.first.states[node]
        if differing := before.unread.keys() ^ after.unread.keys():
            verify.unmeasured(Place.of_node(node), f"{', '.join(sorted(differing))} could be read only once")
            continue
        change = changes.get(node)
        verify(
            change is None,
            where=Place.of_node(node).concerning(change.concerned if change else ()),
            expected=f"as before the flows: {'; '.join(change.lost) if change and change.lost else 'nothing more'}",
            seen="; ".join(change.new) if change and change.new else "not there",
            meaning="What was proven before may not hold now, nor the reverse; see who changed it, and run again.",
        )
