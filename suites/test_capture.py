"""The watch itself: what makes its silence a proof."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_ciliumwg.agent.capture.controls import BROADCAST, WAYS
from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.watch import PHASES, DeviceReport
from pytest_ciliumwg.observe.wireguard import DEVICE
from pytest_ciliumwg.verdict.judge import Judge

DESIGN = "design: a negative needs a positive"
BLIND = "Cleartext may have passed unseen, so nothing that was not seen counts."


@pytest.mark.ciliumwg_check("capture.devices", source=DESIGN, about="measurement")
def test_native_devices_are_known(observed: Observed, judge: Judge, verify: Verify) -> None:
    """Every native device of every node is watched."""
    for state in observed.states("native_devices"):
        names = [device.name for device in state.native_devices]
        watched = set(judge.measurement.watches[state.node].devices)
        verify(
            bool(names) and watched >= set(names),
            where=Place.of_node(state.node),
            expected=f"a watch on {', '.join(names) or 'at least one device'}",
            seen=", ".join(sorted(watched)) or "none",
            meaning=BLIND,
        )


@pytest.mark.ciliumwg_check("capture.alive", source=DESIGN, about="measurement")
def test_watches_ran(judge: Judge, verify: Verify) -> None:
    """Every watch ran from its start to its end."""
    for node, watch in judge.measurement.watches.items():
        verify(
            not watch.errors,
            where=Place.of_node(node),
            expected="no error",
            seen="; ".join(watch.errors),
            meaning=BLIND,
        )


@pytest.mark.ciliumwg_check("capture.no-drops", source=DESIGN, about="measurement")
def test_no_frame_was_dropped(judge: Judge, verify: Verify) -> None:
    """The kernel dropped no frame that a watch should have searched."""
    for node, device, report in _devices(judge, verify):
        verify(
            report.drops == 0,
            where=Place.of_node(node, device),
            expected="no drop",
            seen=f"{report.drops} of {report.kernel_frames} frames dropped",
            meaning=BLIND,
        )


@pytest.mark.ciliumwg_check("capture.all-read", source=DESIGN, about="measurement")
def test_every_frame_was_searched(judge: Judge, verify: Verify) -> None:
    """Every frame that the kernel counted for a watch was searched."""
    for node, device, report in _devices(judge, verify):
        verify(
            report.frames + report.drops == report.kernel_frames,
            where=Place.of_node(node, device),
            expected=f"{report.kernel_frames - report.drops} frames searched",
            seen=report.frames,
            meaning=BLIND,
        )


@pytest.mark.ciliumwg_check("capture.whole-frames", source=DESIGN, about="measurement", offline="also")
def test_no_frame_was_cut(judge: Judge, verify: Verify) -> None:
    """No frame was cut off in the capture."""
    for node, device, report in _devices(judge, verify):
        verify(
            report.truncated == 0,
            where=Place.of_node(node, device),
            expected="whole frames",
            seen=f"{report.truncated} frames cut off",
            meaning=BLIND,
        )


@pytest.mark.ciliumwg_check("capture.control-sent", source=DESIGN, about="measurement")
def test_control_canary_was_seen_where_it_was_sent(judge: Judge, verify: Verify) -> None:
    """Each node's watch saw the node's own control canary on every native device, before and after the flows."""
    for node, device, _ in _devices(judge, verify):
        controls = judge.measurement.watches[node].controls
        seen = {
            control.phase
            for control in controls
            if control.outgoing and control.sender == node and control.device == device
        }
        for phase, when in PHASES.items():
            verify(
                phase in seen,
                where=Place.of_node(node, device, detail=when),
                expected="the node's own control canary",
                seen="not seen",
                meaning=BLIND,
            )


@pytest.mark.ciliumwg_check("capture.control-received", source=DESIGN, about="measurement")
def test_control_canary_was_seen_where_it_arrived(judge: Judge, verify: Verify) -> None:
    """Each node's watch saw the control canaries of all other nodes arrive, before and after the flows."""
    watches = judge.measurement.watches
    every = [(phase, sender) for sender in watches for phase in PHASES]
    for node, watch in watches.items():
        if watch.errors:
            verify.unmeasured(Place.of_node(node), watch.errors[0])
            continue
        arrived = [control for control in watch.controls if not control.outgoing and control.sender != node]
        seen = {(control.phase, control.sender) for control in arrived}
        if ways := sorted({control.way for control in arrived} - {BROADCAST}):
            verify.note(Place.of_node(node), f"control canaries came by {', '.join(ways)}")
        missing = [(phase, sender) for phase, sender in every if sender != node and (phase, sender) not in seen]
        verify.held(len(PHASES) * (len(watches) - 1) - len(missing))
        for phase, sender in missing:
            verify(
                False,
                where=Place.of_node(node, detail=PHASES[phase]).concerning([sender]),
                expected=f"the control canary of {sender}",
                seen=f"not seen, though it was sent by {', '.join((BROADCAST, *WAYS))}",
                meaning=BLIND,
            )


@pytest.mark.ciliumwg_check("capture.inside", source=DESIGN, about="measurement")
def test_the_inside_of_the_tunnel_was_watched(judge: Judge, verify: Verify) -> None:
    """Each node's watch saw its own control canary in cilium_wg0, before and after the flows, and missed no packet."""
    for node, watch in judge.measurement.watches.items():
        if watch.inside is None or not watch.inside.present:
            verify.unmeasured(Place.of_node(node), judge.custody.deafness[node])
            continue
        why = judge.custody.deafness.get(node)
        verify(
            why is None,
            where=Place.of_node(node, DEVICE),
            expected="its own control canaries, and no packet missed",
            seen=why,
            meaning="What passes inside the tunnel is not known, so no flow counts as encrypted.",
        )


@pytest.mark.ciliumwg_check(
    "capture.policies", source="documentation, Network Policy: what none allows is denied", about="measurement"
)
def test_no_policy_drops_test_traffic(judge: Judge, verify: Verify) -> None:
    """No network policy keeps test pods from talking."""
    dropped, policies = judge.measurement.dropped_by_policies, judge.measurement.policies
    nodes = sorted(set(dropped.values()))
    named = f"; these may be why: {', '.join(policies)}" if policies else ""
    verify(
        not dropped,
        where=Place.everywhere(f"{len(judge.measurement.watches)} nodes").concerning(nodes),
        expected="every flow let through",
        seen=f"{len(dropped)} flows denied by policy on {', '.join(nodes)}{named}",
        meaning="Nothing can be said of what a policy drops at its pod. Let the traffic of the test pods pass, as pods "
        "of a namespace whose name begins with ciliumwg-; `cilium-dbg monitor --type drop` shows each packet.",
    )


@pytest.mark.ciliumwg_check("capture.window", source=DESIGN, about="measurement")
def test_the_window_covers_all_flows(judge: Judge, verify: Verify) -> None:
    """Every flow began after the watches of its two nodes and ended before them."""
    for flow in judge.measurement.flows:
        if any(judge.measurement.watches[node].errors for node in flow.pair):
            verify.unmeasured(Place.of_flow(flow), "a watch of its nodes failed (see capture.alive)")
            continue
        outside = judge.uncovered(flow)
        if outside is None:
            verify.held()
        else:
            verify(False, where=Place.of_flow(flow), expected="within the watches", seen=outside, meaning=BLIND)


@pytest.mark.ciliumwg_check("capture.agents", source=DESIGN, about="measurement")
def test_nothing_went_wrong_on_the_way(judge: Judge, verify: Verify) -> None:
    """All agents did what they were asked: control canaries left, flows were served and accounted for."""
    problems = judge.measurement.problems
    shown = problems[:5]
    verify(
        not problems,
        where=Place.everywhere(f"{len(judge.measurement.watches)} nodes").concerning(problem.node for problem in shown),
        expected="no problem",
        seen="; ".join(map(str, shown)) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else ""),
    )


def _devices(judge: Judge, verify: Verify) -> Iterator[tuple[str, str, DeviceReport]]:
    """(node, device, report) of every watch that ran; the others are noted as unmeasured."""
    for node, watch in judge.measurement.watches.items():
        if watch.errors:
            verify.unmeasured(Place.of_node(node), f"{watch.errors[0]} (see capture.alive)")
        for device, report in watch.devices.items():
            yield node, device, report
