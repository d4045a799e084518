"""What agents tell is kept within bounds, and what cannot be kept is never silently gone."""

from __future__ import annotations

from typing import Any

from pytest_ciliumwg.agent.log import BLIND, UNSENT
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.watch import ledger as module
from pytest_ciliumwg.watch.ledger import OUTAGES, Ledger


def streamed(*entries: dict[str, Any], **other: Any) -> dict[str, Any]:
    reply: dict[str, Any] = {"entries": list(entries), "open": [], "totals": [], "overflow": 0}
    return reply | other


def outage(first: float, last: float, flow: int = 1) -> dict[str, Any]:
    return {"kind": "outage", "flow": flow, "first": first, "last": last, "lost": 1, "error": None}


def watched(*entries: dict[str, Any], overflow: int = 0) -> dict[str, Any]:
    return {"entries": list(entries), "overflow": overflow, "started": 1.0, "devices": {}, "inside": None}


def sighting(at: float) -> dict[str, Any]:
    where = {"flow": 1, "mark": 0, "how": "canary", "device": "eth0", "outgoing": True, "layers": "eth"}
    return {"kind": "sighting", "count": 1, "first": at, "last": at, "frames": [], **where}


def test_icmp_errors_that_quote_are_counted_and_are_no_cleartext() -> None:
    ledger = Ledger(["one"])
    quoted = [sighting(at) | {"how": "quoted"} for at in (3.0, 2.0, 5.0)]
    ledger.watched("one", watched(*quoted, quoted[0] | {"flow": 2}))
    assert not ledger.clear
    told = {seen.flow: (seen.frames, seen.first_at, seen.last_at) for seen in ledger.quoted.values()}
    assert told == {1: (3, 2.0, 5.0), 2: (1, 3.0, 3.0)}


def kernel(at: float, **other: Any) -> dict[str, Any]:
    parts = {"subject": "x", "verb": "removed", "family": "IPv6", "device": "d", "count": 3}
    return {"kind": "kernel", "at": at, "what": "x was removed"} | parts | other


def test_the_longest_outages_are_kept() -> None:
    ledger = Ledger(["one"])
    for number in range(10 * OUTAGES):
        ledger.streamed("one", streamed(outage(number, number + (50.0 if number == 3 else 0.1))))
    assert len(ledger.outages()) == OUTAGES
    assert max(outage.seconds for outage in ledger.outages()) == 50.0
    assert not ledger.overflowed, "that many were lost makes nothing unsound"


def test_what_goes_on_is_an_outage_too() -> None:
    ledger = Ledger(["one"])
    ledger.streamed("one", streamed(open=[outage(1.0, 5.0)], totals=[[1, 100, 20, 80, 0, 0]]))
    assert [outage.seconds for outage in ledger.outages()] == [4.0]
    assert ledger.open_outages() == ledger.outages()
    ledger.streamed("one", streamed(outage(1.0, 9.0), totals=[[1, 200, 100, 100, 0, 0]]))
    assert [outage.seconds for outage in ledger.outages()] == [8.0]
    assert not ledger.open_outages()


def test_totals_go_on_over_the_death_of_a_sender() -> None:
    ledger = Ledger(["one"])
    ledger.streamed("one", streamed(totals=[[1, 100, 90, 10, 0, 2]], open=[outage(1.0, 2.0)]))
    ledger.sender_gone([1])
    ledger.streamed("one", streamed(totals=[[1, 50, 50, 0, 0, 1]]))
    totals = ledger.totals()[1]
    assert (totals.sent, totals.answered, totals.lost, totals.connections) == (150, 140, 10, 3)
    assert [outage.seconds for outage in ledger.outages()] == [1.0]


def test_sightings_that_have_no_room_make_the_watch_unsound(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    ledger = Ledger(["one"])
    ledger.watched("one", watched(*(sighting(float(at)) for at in range(8))))
    assert len(ledger.clear) == 5
    assert ledger.overflowed == {"sightings for which there was no room": 3}


def test_entries_that_an_agent_had_no_room_for_make_it_unsound() -> None:
    ledger = Ledger(["one"])
    ledger.watched("one", watched(overflow=7))
    ledger.watched("one", watched(overflow=7))
    assert list(ledger.overflowed.values()) == [7]


def test_times_are_corrected_by_the_node_s_clock() -> None:
    ledger = Ledger(["one"])
    ledger.answered("one", 1000.0, 4600.5, 1001.0)  # an hour ahead
    ledger.watched("one", watched(sighting(4700.0), kernel(4650.0)))
    assert ledger.clear[0].first_at == 1100.0
    (event,) = ledger.events
    assert event.at == 1050.0
    assert event.since < event.at


def test_errors_of_a_watch_are_times_in_which_it_was_blind_but_not_unsent_heartbeats() -> None:
    ledger = Ledger(["one"])
    # By their codes: what the words say is for people.
    errors = [{"kind": "error", "code": code, "at": 5.0, "what": f"control canary {code}"} for code in (BLIND, UNSENT)]
    ledger.watched("one", watched(*errors))
    assert [blind.why for blind in ledger.blind] == ["control canary blind"]


def test_what_a_kernel_tells_keeps_its_parts() -> None:
    ledger = Ledger(["one"])
    ledger.watched("one", watched(kernel(5.0), kernel(6.0, subject="", verb=None, family=None, what="too fast")))
    told, untold = ledger.events
    assert (told.kind, told.node, told.what) == ("kernel", "one", "x was removed")
    assert (told.subject, told.verb, told.family, told.device, told.count) == ("x", "removed", IPFamily.V6, "d", 3)
    assert (untold.what, untold.subject, untold.verb, untold.family) == ("too fast", "", None, None)


def test_counts_are_of_one_watch_from_beginning_to_end() -> None:
    ledger = Ledger(["one", "two", "three"])
    for node in ("one", "two", "three"):
        ledger.watched(node, watched())
    ledger.watched("two", watched() | {"started": 2.0})
    for node, started in (("one", 1.0), ("two", 2.0)):
        ledger.watched(node, watched() | {"started": started, "stopped": 9.0})
    assert ledger.counted().keys() == {"one"}, "two began again, three was never heard of again"
