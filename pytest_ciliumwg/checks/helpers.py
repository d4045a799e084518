"""What checks of the suite have in common: reading nodes' states, naming peers, asserting a flow's verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from pytest_ciliumwg.checks.readings import Readings
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations, source
from pytest_ciliumwg.model.cluster import IPFamily, Node
from pytest_ciliumwg.model.node_state import Link, NodeState, WireGuardDevice
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import Timeline
from pytest_ciliumwg.model.traffic import Protocol, Purpose, Sighting, Verdict
from pytest_ciliumwg.model.watch import DeviceReport, MessageKind, WireGuardMessages
from pytest_ciliumwg.observe.wireguard import DEVICE
from pytest_ciliumwg.verdict.judge import Judge, Judgement
from pytest_ciliumwg.verdict.other_pods import ClearPods, told
from pytest_ciliumwg.watch.followers import PATIENCE

ANOTHER_WAY = "WireGuard did not encrypt it, and whoever can read that way can read it."
TOO_LARGE = "Packets of this size do not get through the tunnel; large transfers between pods will hang."
ONLY_REPORTED = "only reported (--ciliumwg-other-pods=report)"
_FOREIGN = {
    "flows": "have addresses and ports of our flows, and no canary",
    "wireguard": "use WireGuard's port",
    "pods": "have addresses of pods",
}
LEAK = "Whoever can read this network reads the pods' traffic, and can change it."


class Observed:
    """The nodes' states for one check: those before the flows, and of those after them the ones that are not the same.

    What could not be read is noted as unmeasured, not passed over.
    """

    def __init__(self, readings: Readings, verify: Verify) -> None:
        self._states = (*readings.first.states.values(), *readings.judged_again)
        self._verify = verify

    def states(self, *fields: str) -> Iterator[NodeState]:
        """The states in which all these fields could be read."""
        for state in self._states:
            why = next((state.unread[name] for name in fields if name in state.unread), None)
            if why is None:
                yield state
            else:
                self._unmeasured(state, why)

    def links(self) -> Iterator[tuple[NodeState, Link]]:
        """Each node with its device cilium_wg0."""
        for state in self.states("link"):
            if state.link is None:
                self._unmeasured(state, "it has no device cilium_wg0 (see the check device.present)")
            else:
                yield state, state.link

    def devices(self) -> Iterator[tuple[NodeState, WireGuardDevice]]:
        """Each node with the WireGuard side of its device."""
        for state, _ in self.links():
            if "wireguard" in state.unread:
                self._unmeasured(state, state.unread["wireguard"])
            elif state.wireguard is None:
                self._unmeasured(state, "its device cilium_wg0 is no WireGuard device (see device.kind)")
            else:
                yield state, state.wireguard

    def _unmeasured(self, state: NodeState, why: str) -> None:
        self._verify.unmeasured(Place.of_node(state.node), why)


def peer_names(nodes: Sequence[Node]) -> Mapping[str, str]:
    """Published key → node name."""
    return {node.public_key: node.name for node in nodes if node.public_key}


def assert_encrypted(verify: Verify, judgement: Judgement) -> None:
    """Verify one flow's verdict: what was not measured is no pass."""
    if judgement.verdict is Verdict.ENCRYPTED:
        verify.held()
    elif judgement.verdict is Verdict.BYPASS:
        why = "it went another way than through the tunnel (see wire.custody)"
        verify.unmeasured(Place.of_flow(judgement.flow), why)
    elif judgement.verdict in (Verdict.UNREACHABLE, Verdict.INCONCLUSIVE):
        verify.unmeasured(Place.of_flow(judgement.flow), f"{judgement.verdict.value}: {judgement.reason}")
    else:
        verify(
            False,
            where=Place.of_flow(judgement.flow).concerning(seen.node for seen in judgement.sightings),
            expected="encrypted",
            seen=seen_in_clear(judgement.sightings),
            meaning=LEAK,
        )


def assert_in_the_tunnel(verify: Verify, judgement: Judgement) -> None:
    """Verify that a flow that was delivered, and not seen in cleartext, went through the tunnel."""
    flow = judgement.flow
    if judgement.verdict is Verdict.ENCRYPTED:
        verify.held()
    elif judgement.verdict in (Verdict.UNREACHABLE, Verdict.INCONCLUSIVE):
        verify.unmeasured(Place.of_flow(flow), f"{judgement.verdict.value}: {judgement.reason}")
    elif judgement.verdict is Verdict.CLEARTEXT:
        verify.unsupported(Place.of_flow(flow), "it was in cleartext (see wire.no-cleartext)")
    else:
        verify(
            False,
            where=Place.of_flow(flow),
            expected=f"into {DEVICE} on {flow.source_node}, out of it on {flow.destination_node}, and back",
            seen=judgement.reason,
            meaning=ANOTHER_WAY,
        )


def refuse_pods_in_clear(verify: Verify, found: Iterable[ClearPods], only_told: str) -> None:
    """Verify that no other pods were in cleartext; with a reason why that is only told, note those that were."""
    for clear in found:
        where = Place.of_pods(clear.source, clear.destination)
        if only_told:
            verify.unsupported(where, f"{told(clear)}; {only_told}")
        else:
            verify(False, where=where, expected="nothing in cleartext", seen=told(clear), meaning=LEAK)


def note_quoted(verify: Verify, quoted: Iterable[Sighting]) -> None:
    """Tell of ICMP errors that quote our packets."""
    for seen in quoted:
        what = f"ICMP errors quote headers of our packets, and no payload: {seen.told()}"
        verify.note(Place.of_node(seen.node, seen.device), what)


def note_late(verify: Verify, timeline: Timeline) -> None:
    """Tell of answers that came late: they are not lost, and our own processes may be why."""
    for flow, totals in sorted(timeline.totals.items()):
        if totals.late:
            what = f"{totals.late} of {totals.answered} answers came after more than {PATIENCE:g} s: late, and not lost"
            verify.note(Place.of_flow(timeline.flows[flow]), f"{what} (TCP sends again; a busy machine is slow)")


def note_foreign(
    verify: Verify,
    watched: Mapping[str, Mapping[str, DeviceReport]],
    kind: Literal["flows", "wireguard", "pods"],
) -> None:
    """Tell of frames that were put aside, because they ran between machines that are no nodes of this cluster."""
    for node, devices in watched.items():
        for device, report in devices.items():
            if count := getattr(report.foreign, kind):
                what = f"{count} frames between machines that are no nodes of this cluster {_FOREIGN[kind]}"
                verify.note(Place.of_node(node, device), f"{what}: they are not counted as this cluster's")


def assert_size_delivered(verify: Verify, judgement: Judgement, expected: Expectations) -> None:
    """Verify that a size was delivered, or note a known property of this version, or that it has it no more."""
    delivery, flow = judgement.delivery, judgement.flow
    if flow.dropped_by_design and delivery.received < flow.count:
        verify.unsupported(Place.of_flow(flow), _dropped(expected))
        return
    if flow.dropped_by_design:
        verify.note(Place.of_flow(flow), f"delivered, though {_dropped(expected)}: this has changed")
    assert_delivered(verify, judgement, TOO_LARGE)


def assert_size_encrypted(verify: Verify, judgement: Judgement, expected: Expectations) -> None:
    """Verify a size's verdict; one that this version drops leaves nothing to verify, unless it was seen."""
    lost = judgement.delivery.received < judgement.flow.count
    if judgement.flow.dropped_by_design and lost and judgement.verdict is not Verdict.CLEARTEXT:
        verify.unsupported(Place.of_flow(judgement.flow), _dropped(expected))
    else:
        assert_encrypted(verify, judgement)


def _dropped(expected: Expectations) -> str:
    return f"Cilium {expected.config.version} is known to drop it, as it is in fragments ({source('fragments')})"


def assert_delivered(verify: Verify, judgement: Judgement, meaning: str) -> None:
    """Verify that every message of a flow was answered; where our own agents are why not, that is not measured.

    Args:
        verify: The check's.
        judgement: The flow's.
        meaning: What it means for the user; what was in cleartext of it is added.
    """
    delivery, flow = judgement.delivery, judgement.flow
    if delivery.received >= flow.count:
        verify.held()
        return
    clear = " What they did send was in cleartext." if judgement.verdict is Verdict.CLEARTEXT else ""
    if delivery.unmeasured:
        verify.unmeasured(Place.of_flow(flow), delivery.unmeasured)
        return
    verify(
        False,
        where=Place.of_flow(flow),
        expected=f"{flow.count} answers",
        seen=f"{delivery.received} ({delivery.error or 'no error'})",
        meaning=f"{meaning}{clear}",
    )


def judged(judge: Judge, purpose: Purpose, family: IPFamily, protocol: Protocol) -> Sequence[Judgement]:
    """The judgements of the flows of one purpose, family and protocol."""
    return judge.by_kind.get((purpose, family, protocol), ())


def seen_in_clear(sightings: Sequence[Sighting]) -> str:
    """Sightings in words."""
    return "; ".join(seen.told() for seen in sightings)


def wireguard_messages(judge: Judge, verify: Verify) -> Iterator[tuple[str, str, WireGuardMessages]]:
    """(node, device, messages) of all WireGuard messages that the watches saw; none at all is noted as unmeasured.

    What has no WireGuard framing and an end that is no node is none: answers to clients have any port, this one too.
    """
    found = False
    for node in judge.measurement.watches:
        for device, messages in judge.messages(node):
            found = True
            if messages.kind is MessageKind.OTHER and not {messages.source, messages.destination} <= judge.homes.keys():
                ends = f"{messages.source} → {messages.destination}, which is not between nodes"
                what = f"{messages.count} datagrams {ends}, have WireGuard's port and are none of its messages"
                verify.note(Place.of_node(node, device), what)
                continue
            yield node, device, messages
    if not found:
        verify.unmeasured(Place.everywhere("all nodes"), "no WireGuard message was seen (see wire.tunnelled)")
