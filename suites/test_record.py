"""What only the record of a cluster has to show: that it is whole, and that its captures cover what they are asked."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.providers.recorded import Recorded
from pytest_ciliumwg.verdict.captured import apart, captured_pairs
from pytest_ciliumwg.verdict.judge import Judge
from pytest_ciliumwg.verdict.timeline import clock

DESIGN = "design: a negative needs a positive"
ONE_TRY = 1
"""Of a handshake's initiations: a single one may be at the end of a capture, and what follows behind it."""


@pytest.mark.ciliumwg_check("capture.input", source=DESIGN, about="measurement", offline="only")
def test_the_input_is_whole(record: Recorded, verify: Verify) -> None:
    """All of the input is whole, is understood, and is of one cluster at one time."""
    for problem in record.problems:
        verify.unmeasured(Place.everywhere("the input"), problem)
    if not record.problems:
        verify(True, where=Place.everywhere("the input"), expected="no problem", seen="none")


@pytest.mark.ciliumwg_check("capture.coverage", source=DESIGN, about="measurement", offline="only")
def test_all_native_devices_were_captured(
    first_reading: Reading, record: Recorded, judge: Judge, verify: Verify
) -> None:
    """Every native device of every node was captured, all of them at one time, and no frame was dropped unnoticed."""
    watches = judge.measurement.watches
    for node, state in _in_order(first_reading.states):
        for why in watches[node].errors:
            verify.unmeasured(Place.of_node(node), why)
        for device in state.native_devices:
            if device.name in watches[node].devices:
                verify(True, where=Place.of_node(node, device.name), expected="a capture", seen="one")
    for why in filter(None, [apart(watches), *record.untold]):
        verify.unmeasured(Place.everywhere("all captures"), why)


@pytest.mark.ciliumwg_check(
    "capture.restarts",
    source="recordings: agent restarts leak for seconds (1.13)",
    about="measurement",
    offline="only",
)
def test_agents_ran_all_the_while(record: Recorded, first_reading: Reading, judge: Judge, verify: Verify) -> None:
    """No agent of Cilium was restarted between captures and the look at the nodes; logs are told about WireGuard."""
    watches = judge.measurement.watches
    for node, told in sorted(record.agents.items()):
        times = [first_reading.states[node].observed_at]
        times += [watches[node].started, watches[node].stopped] if watches[node].stopped else []
        where = Place.of_node(node)
        if told.ended_at is not None and min(times) <= told.ended_at <= max(times):
            why = f" ({told.why})" if told.why else ""
            verify.unmeasured(
                where,
                f"its agent was restarted at {clock(told.ended_at)}{why}, between the captures and the look at the "
                "node: what was captured may have passed in another state than is judged",
            )
        else:
            verify(True, where=where, expected="no restart meanwhile", seen=f"{told.restarts} restarts in all")
        for line in told.lines:
            verify.note(where, f"the agent's log: {line}")
    if not record.agents:
        verify.unmeasured(Place.everywhere("all nodes"), "the input does not tell of the agents' pods")


def _in_order(states: Mapping[str, NodeState]) -> list[tuple[str, NodeState]]:
    return sorted(states.items())


@pytest.mark.ciliumwg_check(
    "wire.captured", source='documentation, "Which traffic is encrypted": pod to pod on another node', offline="only"
)
def test_every_pair_was_seen_encrypted(judge: Judge, verify: Verify) -> None:
    """From every node to every other one WireGuard data messages were captured, and nothing of pods in cleartext."""
    for pair in captured_pairs(judge):
        where = Place.of_pair(pair.source, pair.destination)
        if pair.clear:
            verify.unmeasured(where, f"{pair.clear} frames of pods were in cleartext (see wire.other-pods)")
        elif pair.messages:
            verify(True, where=where, expected="WireGuard data messages", seen=pair.messages)
        else:
            verify.unmeasured(
                where,
                "no packet of pods was captured, which proves nothing: let pods of the two talk meanwhile",
            )


@pytest.mark.ciliumwg_check("handshake.answered", source="WireGuard whitepaper, section 5 and 6.1", offline="only")
def test_initiations_were_answered(judge: Judge, verify: Verify) -> None:
    """No node asks another one for a session again and again without getting one."""
    for pair in captured_pairs(judge):
        where = Place.of_pair(pair.source, pair.destination)
        if pair.in_session:
            verify(True, where=where, expected="a session", seen="data messages")
        elif pair.initiations > ONE_TRY:
            verify(
                False,
                where=where,
                expected="a response, and then data",
                seen=f"{pair.responses} responses to {pair.initiations} initiations, and no data",
                meaning="The pods of the two cannot talk: UDP 51871 is blocked one way or both, or one has the other's "
                "key wrong.",
            )
    if not verify.verified:
        verify.unsupported(Place.everywhere("all pairs"), "no session and no attempt at one was captured")
