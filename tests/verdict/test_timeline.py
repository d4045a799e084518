"""A leak is told with its time, its node and what came before it, and with the cause that can be proven."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.diagnosis.causes import Causes, absences
from pytest_ciliumwg.diagnosis.leaks import leaks
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import AgentPod, Snapshot
from pytest_ciliumwg.model.watch import DeviceReport, MessageKind, WireGuardMessages
from pytest_ciliumwg.verdict.spans import Span, spans
from pytest_ciliumwg.verdict.timeline import answered_without_tunnel, blind_intervals, clock, outages, unwatchable
from pytest_ciliumwg.watch.differences import differences, peer_differences
from tests.watch.made import blind, clear, event, flows, outage, timeline

CHANGE = event(140.0, "restarting the Cilium agent", kind="change")


def test_the_event_before() -> None:
    events = (
        event(120.0, "cilium_wg0 was removed", "three"),  # another pair's
        CHANGE,
        event(149.9, "cilium_wg0 was removed", "one"),
        event(151.5, "cilium_wg0 was created", "one"),
        event(170.0, "draining the node", kind="change"),
    )
    cause = Causes(timeline(events=events)).of(clear())
    assert cause.change == CHANGE
    assert str(cause.event) == "cilium_wg0 was removed on one"
    assert cause.absence is not None
    assert (cause.absence.what, cause.absence.first_at, cause.absence.last_at) == (
        "cilium_wg0 was missing",
        149.9,
        151.5,
    )


def test_told_in_words() -> None:
    events = (CHANGE, event(149.9, "cilium_wg0 was removed"), event(151.2, "cilium_wg0 was created"))
    line = timeline(events=events, clear=(clear(),))
    (leak,) = leaks(line)
    assert str(leak.where) == "ICMP v4 one → two (10.0.0.1 → 10.0.1.1)"
    assert f"20 frames of the request leaving one eth0 in clear at {clock(150.0)} for 1.000 s" in leak.told
    assert "10.000 s after restarting the Cilium agent on one" in leak.told
    assert "all of it while cilium_wg0 was missing on one" in leak.told


def test_what_stays_away_while_all_is_encrypted_again_is_no_cause() -> None:
    # A migration to another steering takes the rule away for good.
    events = (event(149.9, "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv4) was removed"),)
    assert Causes(timeline(events=events)).of(clear()).absence is None
    until_the_end = Causes(timeline(events=events)).of(clear(last=199.9))
    assert until_the_end.absence is not None


def test_what_happens_to_the_other_family_is_no_cause() -> None:
    events = (
        event(149.8, "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv4) was removed"),
        event(149.9, "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv6) was removed"),
        event(151.1, "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv4) was added"),
    )
    cause = Causes(timeline(events=events)).of(clear())
    assert cause.event == events[0]
    assert cause.absence is not None


@pytest.mark.parametrize(("first", "last"), [(149.0, 151.0), (150.0, 153.0)])
def test_a_leak_that_does_not_fit_into_the_absence_has_no_proven_cause(first: float, last: float) -> None:
    events = (event(149.9, "cilium_wg0 was removed"), event(151.5, "cilium_wg0 was created"))
    assert Causes(timeline(events=events)).of(clear(0, first, last)).absence is None


def test_absences() -> None:
    events = (
        event(1.0, "cilium_wg0 was set down"),
        event(2.0, "cilium_wg0 was set up", "two"),
        event(3.0, "cilium_wg0 was set up"),
        event(4.0, "an egress filter of eth0 was removed (x12)"),
        event(5.0, "the node became Ready", kind="node-ready"),
    )
    found = [(one.what, one.first_at, one.last_at) for one in absences(events, 9.0)]
    assert found == [
        ("cilium_wg0 was down", 1.0, 3.0),
        ("an egress filter of eth0 was missing", 4.0, 9.0),
    ]


def test_a_frame_of_no_known_flow() -> None:
    (leak,) = leaks(timeline(clear=(clear(flow=-1),)))
    assert "of which flow cannot be told" in str(leak.where)


def test_spans() -> None:
    line = timeline(
        clear=(clear(0, 150.0, 151.0), clear(0, 180.0, 180.0)),
        outages=(outage(0, 149.0, 152.0), outage(1, 110.0, 120.0)),
        blind=(blind("two", 160.0, 170.0), blind("three", 100.0, 200.0)),
    )
    assert spans(line, 0) == (
        Span("encrypted", 100.0, 149.0),
        Span("lost", 149.0, 150.0),
        Span("cleartext", 150.0, 151.0),
        Span("lost", 151.0, 152.0),
        Span("encrypted", 152.0, 160.0),
        Span("unwatched", 160.0, 170.0),
        Span("encrypted", 170.0, 180.0),
        Span("cleartext", 180.0, 180.0),
        Span("encrypted", 180.0, 200.0),
    )
    assert [span.kind for span in spans(line, 1)] == ["encrypted", "lost", "encrypted", "unwatched", "encrypted"]
    assert spans(replace(line, totals={}), 0)[0].kind == "unwatched"


def test_outages_by_flow() -> None:
    line = timeline(outages=(outage(0, 110.0, 111.0), outage(0, 120.0, 125.0)))
    found = {flow.id: longest for flow, longest in outages(line)}
    assert found[0] == outage(0, 120.0, 125.0)
    assert found[1] is None
    assert len(found) == len(flows())


def test_what_cannot_be_concluded() -> None:
    line = timeline()
    assert not list(unwatchable(line))
    silent = replace(line, totals={n: replace(one, answered=0) for n, one in line.totals.items()}, unsound=("why",))
    assert len(list(unwatchable(silent))) == 1 + len(line.flows)


def test_blind_intervals_of_nodes_that_are_away_are_expected() -> None:
    line = timeline(
        blind=(
            blind("one", 110.0, 120.0),
            blind("two", 110.0, 120.0, "it did not hear the control canaries of one"),
            blind("two", 10.0, 90.0),
            blind("two", 130.0, 131.0),
        )
    )
    assert len(list(blind_intervals(line, frozenset()))) == 3
    assert len(list(blind_intervals(line, frozenset({"on"})))) == 3, "a node's name may begin like another's"
    assert [why for _, why in blind_intervals(line, frozenset({"one"}))] == [
        f"blind from {clock(130.0)} to {clock(131.0)}: its node agent was restarted"
    ]


def counted(messages: int, drops: int = 0) -> dict[str, Any]:
    node = {name: ip_address(f"192.0.2.{number}") for number, name in enumerate(("one", "two", "three"))}
    row = WireGuardMessages(
        outgoing=True,
        source=node["one"],
        destination=node["two"],
        kind=MessageKind.DATA,
        keepalive=False,
        fragmented=False,
        count=messages,
        bytes=100 * messages,
    )
    device = DeviceReport(
        frames=messages, kernel_frames=messages, drops=0, truncated=0, wireguard=(row,), wireguard_drops=drops
    )
    return {"counted": {"one": {"eth0": device}}, "addresses": {name: frozenset({ip}) for name, ip in node.items()}}


def test_what_was_delivered_must_have_passed_the_tunnel() -> None:
    # Five flows each way, 100 messages each, and their answers.
    doubts = dict(answered_without_tunnel(timeline(**counted(999))))
    assert "1000 messages were delivered, but one saw only 999" in doubts[Place.of_pair("one", "two")]
    assert Place.of_pair("one", "two") not in dict(answered_without_tunnel(timeline(**counted(1000))))
    assert not dict(answered_without_tunnel(timeline(**counted(999, drops=1)))), "then the count is a floor"


def test_differences_of_snapshots() -> None:
    agent = AgentPod(name="cilium-a", ready=True, image="v1")
    before = Snapshot(
        agents={"one": agent}, nodes={"one": True, "two": True}, keys={"one": "k"}, pods={"a": "one"}, revision="1"
    )
    after = Snapshot(
        agents={"one": replace(agent, name="cilium-b", image="v2")},
        nodes={"one": False},
        keys={"one": "l"},
        pods={"b": "one"},
        revision="2",
    )
    assert [(kind, node) for kind, _, node in differences(before, after)] == [
        ("revision", None),
        ("node-not-ready", "one"),
        ("node-gone", "two"),
        ("agent-gone", "one"),
        ("agent-ready", "one"),
        ("key-changed", "one"),
        ("pod-deleted", "one"),
        ("pod-created", "one"),
    ]
    assert not list(differences(before, before))


def test_peer_differences() -> None:
    before = {"one": frozenset({"two", "three"}), "two": frozenset({"one"})}
    found = list(peer_differences(before, {"one": frozenset({"two", "four"}), "three": frozenset()}))
    assert found == [("peers-changed", "its peers changed: lost three; got four", "one")]
