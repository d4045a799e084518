"""What the kernel tells of links, routes, rules and filters, made with `ip` and `tc`."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from conftest import sh
from pytest_ciliumwg.agent.capture import kernel_events, netlink
from pytest_ciliumwg.agent.capture.kernel_events import KernelEvents

pytestmark = pytest.mark.usefixtures("netns")


@pytest.fixture
def events(netns: None) -> Iterator[KernelEvents]:
    monitor = KernelEvents(["left"])
    yield monitor
    monitor.close()


def told(events: KernelEvents, script: str) -> list[str]:
    """The sentences for what a script does; netlink has told them when the script is over."""
    sh(script)
    before = events.read()
    return [entry["what"] for entry in before + events.flush()]


def test_links(events: KernelEvents) -> None:
    add = "ip link add cilium_wg0 type ifb"
    assert told(events, add) == ["cilium_wg0 was created"]
    assert told(events, "ip link set cilium_wg0 up mtu 1400; ip link set cilium_wg0 mtu 1300") == [
        "cilium_wg0 was set up"
    ]
    assert told(events, "ip link set cilium_wg0 down") == ["cilium_wg0 was set down"]
    assert told(events, "ip link del cilium_wg0") == ["cilium_wg0 was removed"]
    assert told(events, "ip link set left down; ip link set right down") == ["left was set down"]
    assert told(events, "ip link set left up; ip link set left up") == ["left was set up"]
    assert told(events, "ip link add lxc1 type ifb; ip link add other type ifb") == ["lxc1 was created"]
    assert told(events, "ip link set lxc1 name lxc2") == ["lxc1 was renamed to lxc2"]
    assert told(events, "ip link del lxc2; ip link del other") == ["lxc2 was removed"]


def parts(events: KernelEvents, script: str) -> list[tuple[object, ...]]:
    """(subject, verb, family, device, count) of each entry for what a script does."""
    sh(script)
    names = ("subject", "verb", "family", "device", "count")
    return [tuple(entry[name] for name in names) for entry in events.read() + events.flush()]


def test_entries_carry_what_their_words_say(events: KernelEvents) -> None:
    assert parts(events, "ip link add cilium_wg0 type ifb; ip link set cilium_wg0 up") == [
        ("cilium_wg0", "created", None, "cilium_wg0", 1),
        ("cilium_wg0", "set up", None, "cilium_wg0", 1),
    ]
    assert parts(events, "ip -6 rule add lookup 201 pref 5") == [
        ("the rule 5: lookup 201 (IPv6)", "added", "IPv6", "", 1)
    ]
    assert parts(events, "ip route add default dev cilium_wg0 table 201") == [
        ("the route default dev cilium_wg0 of table 201 (IPv4)", "added", "IPv4", "cilium_wg0", 1)
    ]
    assert parts(events, "ip route replace default dev cilium_wg0 table 201 mtu 1400") == [
        ("the route default dev cilium_wg0 of table 201 (IPv4)", "replaced", "IPv4", "cilium_wg0", 1)
    ]
    assert parts(events, "tc qdisc add dev left clsact") == [("the clsact qdisc of left", "added", None, "left", 1)]
    assert parts(events, "for n in 1 2; do ip link set left down; ip link set left up; done") == [
        ("left", "set down", None, "left", 2),
        ("left", "set up", None, "left", 2),
    ]
    assert parts(events, "ip link add lxc1 type ifb; ip link set lxc1 name lxc2; ip link del lxc2") == [
        ("lxc1", "created", None, "lxc1", 1),
        ("lxc1", "renamed", None, "lxc1", 1),
        ("lxc2", "removed", None, "lxc2", 1),
    ]


def test_a_bridge_port_that_leaves_is_not_removed(events: KernelEvents) -> None:
    sh("ip link add br0 type bridge")
    assert told(events, "ip link set left master br0; ip link set left nomaster") == []


def test_entries_have_a_time_and_a_device(events: KernelEvents) -> None:
    before = time.time()
    sh("ip link set left down; ip rule add fwmark 7 lookup 5")
    entries = events.read() + events.flush()
    assert [(entry["kind"], entry["device"]) for entry in entries] == [("kernel", "left"), ("kernel", "")]
    assert all(before <= entry["at"] <= time.time() for entry in entries)


def test_rules(events: KernelEvents) -> None:
    rule = "fwmark 0xe00/0xf00 lookup 201 pref 1"
    sentence = "the rule 1: fwmark 0xe00/0xf00 lookup 201 (IPv4) was "
    assert told(events, f"ip rule add {rule}") == [sentence + "added"]
    assert told(events, f"ip rule del {rule}") == [sentence + "removed"]
    assert told(events, "ip -6 rule add lookup 201 pref 5") == ["the rule 5: lookup 201 (IPv6) was added"]
    assert told(events, "ip rule add fwmark 7 lookup 1234 pref 6") == [
        "the rule 6: fwmark 0x7 lookup 1234 (IPv4) was added"
    ]
    assert told(events, "ip rule add from 10.0.0.1 lookup 9") == []


def test_routes(events: KernelEvents) -> None:
    told(events, "ip link add cilium_wg0 type ifb; ip link set cilium_wg0 up; ip link set left up")
    sentence = "the route default dev cilium_wg0 of table 201 (IPv4) was "
    assert told(events, "ip route add default dev cilium_wg0 table 201") == [sentence + "added"]
    assert told(events, "ip route replace default dev cilium_wg0 table 201 mtu 1400") == [sentence + "replaced"]
    assert told(events, "ip route del default table 201") == [sentence + "removed"]
    assert told(events, "ip route add 10.1.0.0/16 dev cilium_wg0") == [
        "the route 10.1.0.0/16 dev cilium_wg0 of the main table (IPv4) was added"
    ]
    assert told(events, "ip route add 10.2.0.0/16 dev left; ip route add 10.3.0.0/16 dev left table 7") == []
    assert told(events, "ip route add 10.3.0.0/16 via 10.1.0.1 dev cilium_wg0 table 201 onlink") == [
        "the route 10.3.0.0/16 via 10.1.0.1 dev cilium_wg0 of table 201 (IPv4) was added"
    ]
    assert told(events, "ip link del cilium_wg0") == ["cilium_wg0 was set down", "cilium_wg0 was removed"]


def test_ipv6_routes_die_aloud(events: KernelEvents) -> None:
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0")
    start = (
        "ip link add cilium_wg0 type ifb; ip link set cilium_wg0 up; ip -6 route add default dev cilium_wg0 table 201"
    )
    assert told(events, start) == [
        "cilium_wg0 was created",
        "cilium_wg0 was set up",
        "the route default dev cilium_wg0 of table 201 (IPv6) was added",
    ]
    words = told(events, "ip link del cilium_wg0")
    assert "the route default dev cilium_wg0 of table 201 (IPv6) was removed" in words
    assert words[-1] == "cilium_wg0 was removed"


def test_filters_and_qdiscs(events: KernelEvents) -> None:
    match = "protocol ip bpf bytecode '1,6 0 0 1'"
    assert told(events, "tc qdisc add dev left clsact") == ["the clsact qdisc of left was added"]
    assert told(events, f"tc filter add dev left egress {match}") == ["an egress filter of left was added"]
    assert told(events, f"tc filter add dev left ingress {match}") == ["an ingress filter of left was added"]
    assert "an egress filter of left was removed" in told(events, "tc filter del dev left egress")
    assert "the clsact qdisc of left was removed" in told(events, "tc qdisc del dev left clsact")
    assert told(events, f"tc qdisc add dev right clsact; tc filter add dev right egress {match}") == []


def test_a_burst_is_one_entry(events: KernelEvents) -> None:
    burst = "for n in 1 2 3; do ip link set left down; ip link set left up; done"
    assert told(events, burst) == ["left was set down (x3)", "left was set up (x3)"]


def test_many_different_changes_are_bounded(events: KernelEvents) -> None:
    words = told(events, "for n in $(seq 300); do echo rule add pref $n fwmark $n lookup 201; done | ip -batch -")
    assert len(words) == 201
    assert words[-1] == "100 more changes than could be told one by one"


def test_what_could_not_be_told_one_by_one_has_no_verb(events: KernelEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_events, "_MOST_SENTENCES", 1)
    assert parts(events, "ip link set left down; ip link set left up") == [
        ("left", "set down", None, "left", 1),
        ("", None, None, "", 1),
    ]


def test_sentences_are_told_after_a_second(events: KernelEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    sh("ip link set left down")
    assert events.read() == []
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 1.1)
    assert [entry["what"] for entry in events.read()] == ["left was set down"]
    assert events.read() == []


class Deaf:
    """A socket that lost what was waiting, `times` in a row; `late` is what comes before the list of links does."""

    def __init__(self, real: socket.socket, times: int = 1, late: bytes = b"") -> None:
        self._real = real
        self._times = times
        self._late = late

    def recv(self, size: int) -> bytes:
        if self._times:
            self._times -= 1
            with suppress(BlockingIOError):
                while self._real.gettimeout() == 0:
                    self._real.recv(size)
            raise OSError(errno.ENOBUFS, "No buffer space available")
        late, self._late = self._late, b""
        return late or bytes(self._real.recv(size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


TOO_FAST = "some changes of the kernel's state were too fast to be heard"


@pytest.mark.parametrize(("times", "words"), [(1, TOO_FAST), (3, f"{TOO_FAST} (x3)"), (6, f"{TOO_FAST} (x6)")])
def test_lost_events_are_told_and_the_links_learned_anew(
    events: KernelEvents, monkeypatch: pytest.MonkeyPatch, times: int, words: str
) -> None:
    assert told(events, "ip link add lxc1 type ifb") == ["lxc1 was created"]
    monkeypatch.setattr(events, "_socket", Deaf(events._socket, times))
    assert told(events, "ip link del lxc1; ip link add lxc2 type ifb") == [words]
    assert sorted(name for name, _ in events._links.values()) == ["left", "lxc2"]
    assert told(events, "ip link set left down") == ["left was set down"]


def test_a_known_link_is_not_created_by_an_event_that_comes_before_the_list(
    events: KernelEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    sh("ip link set left mtu 1400")
    event = events._socket.recv(1 << 17)
    monkeypatch.setattr(events, "_socket", Deaf(events._socket, late=event))
    assert told(events, "true") == [TOO_FAST]
    listening = Deaf(netlink.monitor(), times=0, late=event)
    monkeypatch.setattr(netlink, "monitor", lambda: listening)
    again = KernelEvents(["left"])
    assert again.flush() == []
    again.close()


def test_known_links_are_bounded(events: KernelEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_events, "_MOST_LINKS", 5)
    sh("for n in $(seq 20); do ip link add lxc$n type ifb; done")
    events.read()
    assert 0 < len(events._links) <= 5
