"""A watch that does not see its heartbeats is deaf, and from when until when is known."""

from __future__ import annotations

from collections.abc import Collection

from pytest_ciliumwg.watch.clock_sync import Clocks
from pytest_ciliumwg.watch.heartbeats import REMEMBERED, Heartbeats

NODES = ("one", "two")
DEVICES = {"one": ["eth0"], "two": ["eth0"]}


def beating(seconds: int, *, missing: Collection[tuple[str, str, int]] = ()) -> Heartbeats:
    """Heartbeats of every second, but those of (watcher, sender, second)."""
    heartbeats = Heartbeats(NODES, Clocks())
    for second in range(seconds):
        for watcher in NODES:
            for number, sender in enumerate(NODES):
                if (watcher, sender, second) not in missing:
                    entry = {"node": number, "number": second, "device": "eth0", "outgoing": watcher == sender}
                    heartbeats.add(watcher, entry | {"at": float(second)}, float(second))
    return heartbeats


def test_sound_watches_are_not_deaf() -> None:
    heartbeats = beating(100)
    assert heartbeats.heard("one", ["eth0"])
    assert not list(heartbeats.deaf(DEVICES, 0.0, 99.0))


def test_a_device_without_its_own_heartbeat() -> None:
    assert not beating(10).heard("one", ["eth0", "eth1"])


def test_own_heartbeats_missing() -> None:
    missing = {(watcher, "one", second) for watcher in NODES for second in range(40, 50)}
    found = list(beating(100, missing=missing).deaf(DEVICES, 0.0, 99.0))
    # That the other did not hear what was never sent is not its fault.
    assert [(span.node, span.first_at, span.last_at) for span in found] == [("one", 39.0, 50.0)]
    assert "its own control canaries on eth0" in found[0].why
    assert found[0].unheard is None


def test_others_not_heard() -> None:
    missing = {("two", "one", second) for second in range(40, 50)}
    found = list(beating(100, missing=missing).deaf(DEVICES, 0.0, 99.0))
    assert [(span.node, span.first_at, span.last_at) for span in found] == [("two", 39.0, 50.0)]
    assert "of one" in found[0].why
    assert found[0].unheard == "one"


def test_one_heartbeats_lost_on_the_way_is_no_deafness() -> None:
    assert not list(beating(100, missing={("two", "one", 40)}).deaf(DEVICES, 0.0, 99.0))


def test_a_late_heartbeats_is_no_deafness() -> None:
    heartbeats = Heartbeats(NODES, Clocks())
    for number, second in enumerate((1.0, 2.0, 8.0, 9.0)):
        for node in (0, 1):
            for watcher in NODES:
                entry = {"node": node, "number": number, "device": "eth0", "outgoing": NODES[node] == watcher}
                heartbeats.add(watcher, entry | {"at": second}, second)
    assert not list(heartbeats.deaf(DEVICES, 1.0, 9.0))


def test_copies_on_another_device_are_no_gap() -> None:
    heartbeats = Heartbeats(NODES, Clocks())
    for number in range(20):
        for device in ("eth0", "eth1"):
            entry = {"node": 0, "number": number, "device": device, "outgoing": False, "at": float(number)}
            heartbeats.add("two", entry, float(number))
    assert not heartbeats._gaps


def test_an_end_without_heartbeats() -> None:
    found = list(beating(80).deaf(DEVICES, 0.0, 100.0))
    assert {(span.node, span.first_at, span.last_at) for span in found} == {("one", 79.0, 100.0), ("two", 79.0, 100.0)}


def test_memory_is_bounded() -> None:
    heartbeats = beating(5000)
    assert all(len(known) <= REMEMBERED for known in (*heartbeats._sent.values(), *heartbeats._arrived.values()))
