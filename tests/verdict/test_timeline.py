"""What a timeline comes to, and what the differences between two looks at a cluster tell."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import AgentPod, Snapshot
from pytest_ciliumwg.model.watch import DeviceReport, MessageKind, WireGuardMessages
from pytest_ciliumwg.verdict.spans import Span, spans
from pytest_ciliumwg.verdict.timeline import answered_without_tunnel, blind_intervals, clock, outages, unwatchable
from pytest_ciliumwg.watch.differences import differences, peer_differences
from tests.watch.made import blind, clear, flows, outage, timeline


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
    silent = replace(
        line, totals={n: replace(totals, answered=0) for n, totals in line.totals.items()}, unsound=("why",)
    )
    assert len(list(unwatchable(silent))) == 1 + len(line.flows)


def test_blind_intervals_of_nodes_that_are_away_are_expected() -> None:
    line = timeline(
        blind=(
            blind("one", 110.0, 120.0),
            blind("two", 110.0, 120.0, "it heard nobody", unheard="one"),
            blind("two", 10.0, 90.0),
            blind("two", 130.0, 131.0),
        )
    )
    assert len(list(blind_intervals(line, frozenset()))) == 3
    assert len(list(blind_intervals(line, frozenset({"on"})))) == 3, "a node's name may begin like another's"
    unheard = blind("two", 110.0, 120.0, "words that end like those of one", unheard="three")
    assert len(list(blind_intervals(timeline(blind=(unheard,)), frozenset({"one"})))) == 1
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
    missed = dict(answered_without_tunnel(timeline(**counted(999, drops=1))))
    assert Place.of_pair("one", "two") not in missed, "then the count is a floor"
    doubts = dict(answered_without_tunnel(timeline(**counted(0, drops=1))))
    assert doubts[Place.of_pair("one", "two")].endswith("saw only 0 WireGuard data messages, and missed 1 frames")


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


def test_an_agent_goes_away_once() -> None:
    ready = AgentPod(name="cilium-a", ready=True)
    steps = [
        ready,
        replace(ready, ready=False),
        None,
        AgentPod(name="cilium-b", ready=False),
        replace(ready, name="cilium-b"),
    ]
    shown = [Snapshot(agents={"one": agent} if agent else {}, nodes={}, keys={}, pods={}) for agent in steps]
    kinds = [kind for before, after in pairwise(shown) for kind, _, _ in differences(before, after)]
    assert kinds == ["agent-gone", "agent-ready"]


def test_peer_differences() -> None:
    before = {"one": frozenset({"two", "three"}), "two": frozenset({"one"})}
    found = list(peer_differences(before, {"one": frozenset({"two", "four"}), "three": frozenset()}))
    assert found == [("peers-changed", "its peers changed: lost three; got four", "one")]
