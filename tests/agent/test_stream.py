"""Lasting flows over real sockets, and the outages that they tell of."""

from __future__ import annotations

import json
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import sh
from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.log import Log
from pytest_ciliumwg.agent.service import Agent
from pytest_ciliumwg.agent.traffic import echo, payload
from pytest_ciliumwg.agent.traffic.account import Account
from pytest_ciliumwg.agent.traffic.server import Server
from pytest_ciliumwg.agent.traffic.stream import Stream
from tests.patience import PATIENCE, await_

from .waiting import Reader

pytestmark = pytest.mark.usefixtures("netns")

CANARIES = canary.Canaries.of(b"of the tests")
KINDS = [("icmp", False), ("udp", False), ("udp", True), ("tcp", False), ("tcp", True)]
FLOW, SENT, ANSWERED, LOST, LATE, CONNECTIONS = range(6)


def flow(number: int, protocol: str, fresh: bool = False, size: int = 100, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "protocol": protocol,
        "source": "10.0.0.1",
        "destination": "10.0.0.2",
        "port": 20000 + number,
        "token": CANARIES.make(number, canary.REQUEST).hex(),
        "reply": CANARIES.make(number, canary.REPLY).hex(),
        "payload_size": size,
        "interval": 0.05,
        "fresh": fresh,
        **more,
    }


Begin = Callable[..., tuple[Stream, Reader]]


@pytest.fixture
def begin(netns: None) -> Iterator[Begin]:
    """Starts a stream, and a server for its flows; both addresses are local, on devices of their own."""
    sh("ip address add 10.0.0.1/32 dev left; ip address add 10.0.0.2/32 dev right")
    ends: list[Callable[[], Any]] = []

    def started(flows: list[dict[str, Any]], patience: float = 0.3, serve: bool = True) -> tuple[Stream, Reader]:
        if serve:
            server = Server([flow for flow in flows if flow["protocol"] != "icmp"])
            assert not server.errors
            ends.append(server.stop)
        stream = Stream(flows, patience)
        ends.append(lambda: stream.stop(0))
        return stream, Reader(stream.collect)

    yield started
    for end in reversed(ends):
        end()


def until(reader: Reader, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        reply = reader.read()
        if condition(reply):
            return reply
        assert time.monotonic() < deadline, reply
        time.sleep(0.02)


def answered(count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda reply: all(row[ANSWERED] >= count for row in reply["totals"])


@pytest.mark.parametrize("v6", [False, True])
def test_all_kinds_of_flows_are_answered_at_their_rate(begin: Begin, v6: bool) -> None:
    if v6:
        sh("sysctl -qw net.ipv6.conf.lo.disable_ipv6=0")
        sh("ip address add fd00::1/128 dev lo nodad; ip address add fd00::2/128 dev lo nodad")
        # On a busy machine their routes come later, and a socket that is connected before may keep another.
        await_(lambda: all("local" in sh(f"ip -6 route get {ip} || :") for ip in ("fd00::1", "fd00::2")))
    ends: dict[str, Any] = {"source": "fd00::1", "destination": "fd00::2"} if v6 else {}
    flows = [flow(n, protocol, fresh, **ends) for n, (protocol, fresh) in enumerate(KINDS)]
    began = time.monotonic()
    stream, reader = begin(flows)
    until(reader, answered(6))
    totals = reader.take(stream.stop(0))["totals"]
    expected = (time.monotonic() - began) / 0.05
    for row, (protocol, fresh) in zip(totals, KINDS, strict=True):
        assert row[SENT] == row[ANSWERED] <= expected + 1
        assert row[LOST] == row[LATE] == 0
        assert row[CONNECTIONS] == (0 if protocol == "icmp" else row[SENT] if fresh else 1)
    assert reader.entries == []


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_fresh_flows_use_new_ports(begin: Begin, protocol: str) -> None:
    ports: set[int] = set()
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as served:
        sh("ip address add 10.0.0.9/32 dev right")
        served.bind(("10.0.0.9", 20001))
        served.settimeout(PATIENCE)
        if protocol == "tcp":
            served.listen()
        begin([flow(1, protocol, fresh=True, destination="10.0.0.9")], patience=0.1, serve=False)
        for _ in range(5):
            if protocol == "tcp":
                connection, peer = served.accept()
                connection.close()
            else:
                _, peer = served.recvfrom(100)
            ports.add(peer[1])
    assert len(ports) == 5


def drop(hook: str) -> None:
    """Drop all packets to the server, in silence on their way in, or with EPERM on their way out."""
    sh(
        f"nft add table ip cut; nft 'add chain ip cut flows {{ type filter hook {hook} priority 0; }}';"
        "nft add rule ip cut flows ip daddr 10.0.0.2 drop"
    )


def let_through() -> None:
    sh("nft delete table ip cut")


def test_an_outage_is_told_when_it_is_over(begin: Begin) -> None:
    _, reader = begin([flow(n, protocol, fresh) for n, (protocol, fresh) in enumerate(KINDS)])
    until(reader, answered(3))
    drop("input")
    began = time.time()
    going_on = until(reader, lambda reply: len(reply["open"]) == 5)["open"]
    assert not any("seq" in outage for outage in going_on)
    assert reader.entries == []
    while time.time() < began + 1.5:
        time.sleep(0.01)
    ended = time.time()
    let_through()
    outages = sorted(reader.until(lambda outages: len(outages) == 5, "outage"), key=lambda outage: outage["flow"])
    for outage, before, (protocol, _) in zip(outages, going_on, KINDS, strict=True):
        assert (outage["flow"], outage["first"], outage["error"]) == (before["flow"], before["first"], "no answer")
        assert (before["open"], outage["open"]) == (True, False)
        assert began - 0.06 <= outage["first"] <= began + 0.11
        due = (outage["last"] - outage["first"]) / 0.05 + 1
        assert due / 2 < outage["lost"] < due + 2  # what is due while the machine is busy is not made up for
        if protocol != "tcp":  # TCP sends again on its own, late, what was lost
            assert ended - 0.12 <= outage["last"] <= ended + 0.06
    totals = until(reader, answered(6))["totals"]
    assert all(row[LOST] >= outage["lost"] for row, outage in zip(totals, outages, strict=True))


def test_a_flow_that_may_not_go_out_says_why(begin: Begin) -> None:
    _, reader = begin([flow(n, protocol, fresh) for n, (protocol, fresh) in enumerate(KINDS) if protocol != "tcp"])
    until(reader, answered(2))
    drop("output")
    reply = until(reader, lambda reply: len(reply["open"]) == 3)
    assert {outage["error"] for outage in reply["open"]} == {"Operation not permitted"}
    let_through()
    reader.until(lambda outages: len(outages) == 3, "outage")


def test_nobody_serves(begin: Begin) -> None:
    _, reader = begin([flow(n, protocol, fresh) for n, (protocol, fresh) in enumerate(KINDS[1:])], serve=False)
    reply = until(reader, lambda reply: all(row[LOST] >= 3 for row in reply["totals"]))
    assert [outage["error"] for outage in reply["open"]] == ["Connection refused"] * 4
    assert [row[ANSWERED] for row in reply["totals"]] == [0] * 4


def test_a_source_address_that_vanishes_and_comes_back(begin: Begin) -> None:
    _, reader = begin([flow(n, protocol, fresh) for n, (protocol, fresh) in enumerate(KINDS)])
    until(reader, answered(2))
    sh("ip address del 10.0.0.1/32 dev left")
    reply = until(reader, lambda reply: len(reply["open"]) == 5 and all(outage["lost"] > 3 for outage in reply["open"]))
    errors = {outage["flow"]: outage["error"] for outage in reply["open"]}
    assert errors[2] == errors[4] == "Cannot assign requested address"
    assert errors[0] == errors[1] == "Network is unreachable"
    sh("ip address add 10.0.0.1/32 dev left")
    reader.until(lambda outages: {outage["flow"] for outage in outages} == set(range(5)), "outage")


def test_a_connection_that_breaks_is_made_anew(begin: Begin) -> None:
    sh("ip address add 10.0.0.9/32 dev right")
    with socket.socket() as listener:
        listener.bind(("10.0.0.9", 20001))
        listener.listen()
        listener.settimeout(PATIENCE)
        _, reader = begin([flow(1, "tcp", destination="10.0.0.9")], serve=False)
        for _ in range(3):
            listener.accept()[0].close()
        garbling, _ = listener.accept()
        garbling.sendall(b"\xff" * 40)
        listener.accept()[0].close()
        garbling.close()
    assert reader.read()["totals"][0][CONNECTIONS] >= 5


def test_late_is_not_lost(begin: Begin) -> None:
    sh("ip address add 10.0.0.9/32 dev right")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as slow:
        slow.bind(("10.0.0.9", 20001))
        slow.settimeout(PATIENCE)
        _, reader = begin([flow(1, "udp", destination="10.0.0.9", interval=0.5)], patience=0.3, serve=False)
        first, second = slow.recvfrom(200), slow.recvfrom(200)
        until(reader, lambda reply: len(reply["open"]) == 1)
        time.sleep(0.3)  # the first one's patience is over, and its time is not
        for answer in (first, first):
            slow.sendto(*answer)
        (row,) = until(reader, lambda reply: reply["totals"][0][LATE] > 0)["totals"]
        assert (row[ANSWERED], row[LATE], row[LOST]) == (1, 1, 0)
        (row,) = until(reader, lambda reply: reply["totals"][0][LOST] >= 1)["totals"]
        slow.sendto(*second)  # too late: it is lost
        reply = until(reader, lambda reply: reply["totals"][0][LOST] >= 2)
    assert reply["totals"][0][ANSWERED] == 1


def test_the_last_answers_are_waited_for(begin: Begin) -> None:
    flows = [flow(n, protocol, fresh, interval=0.001) for n, (protocol, fresh) in enumerate(KINDS)]
    stream, reader = begin(flows)
    until(reader, answered(5))
    result = stream.stop(0)
    assert all(row[SENT] == row[ANSWERED] for row in result["totals"])
    assert stream.stop(0) == stream.collect(0) == result


def message(account: Account, number: int, at: float) -> None:
    account.send(number, at, at)


def test_messages_are_judged_in_the_order_of_their_sending() -> None:
    log = Log()
    account = Account(5, 1.0, log)
    for number in range(6):
        message(account, number, 100.0 + number)
    for number, fate in ((2, "lost"), (3, "answered"), (0, "answered"), (1, "lost"), (5, "lost"), (4, "answered")):
        if fate == "lost":
            account.lose(number, "no answer" if number == 2 else "Network is unreachable")
        else:
            account.answer(number, 104.5)
    (entry,) = log.after(0)
    assert entry == {
        "seq": 1, "kind": "outage", "flow": 5, "first": 101.0, "last": 102.0, "lost": 2,
        "error": "Network is unreachable", "open": False,
    }  # fmt: skip
    assert account.open_outage(105.5) == {
        "kind": "outage", "flow": 5, "first": 105.0, "last": 105.0, "lost": 1,
        "error": "Network is unreachable", "open": True,
    }  # fmt: skip
    assert account.totals(0) == [5, 6, 3, 3, 2, 0]


def test_the_memory_of_an_account_is_bounded() -> None:
    log = Log(limit=50)
    account = Account(5, 1.0, log)
    tracemalloc.start()
    try:
        for number in range(20000):
            message(account, number, float(number))
            for lost in account.overdue(number + 0.5):
                account.lose(lost, "no answer")
            if number % 3 == 0:
                account.answer(number, number + 0.6)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 1 << 20
    assert account.sent == 20000
    assert account.lost > 13000


@pytest.mark.parametrize("size", [4, 5, 64, 1399])
@pytest.mark.parametrize("number", [0, 1, 0xFFFF, 0x10000, 0xFFFFFFFF])
def test_checksums_that_are_carried_on_are_those_of_a_whole_sum(size: int, number: int) -> None:
    token = CANARIES.make(7, canary.REQUEST)
    for family in (socket.AF_INET, socket.AF_INET6):
        whole = echo.request(family, 20007, number, payload.datagram(number, token, size))
        carried = echo.Requests(family, 20007, token, size).packet(number)
        if family == socket.AF_INET6:  # its checksum is the kernel's
            carried = carried[:2] + whole[2:4] + carried[4:]
        assert carried == whole


def ask(agent: Agent, **request: Any) -> dict[str, Any]:
    return agent.handle(json.dumps(request).encode())


def test_requests_of_a_stream(begin: Begin) -> None:
    agent = Agent()
    start = {"op": "stream-start", "job": "s", "patience": 0.2, "flows": [flow(1, "icmp")]}
    assert ask(agent, **start) == ask(agent, **start) == {"ok": True}
    reader = Reader(lambda seen: ask(agent, op="stream-collect", job="s", acknowledged=seen))
    assert set(until(reader, answered(2))) == {"ok", "now", "entries", "overflow", "open", "totals"}
    end = ask(agent, op="stream-stop", job="s", acknowledged=0)
    assert ask(agent, op="stream-stop", job="s", acknowledged=0) == end


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"payload_size": 3}, "needs at least 4 bytes"),
        ({"protocol": "tcp", "payload_size": 7}, "needs at least 8 bytes"),
        ({"interval": 0}, "an interval must be"),
        ({"protocol": "sctp"}, "sctp"),
    ],
)
def test_a_flow_that_makes_no_sense_is_refused(wrong: dict[str, Any], words: str) -> None:
    reply = ask(Agent(), op="stream-start", job="s", patience=1, flows=[flow(1, "udp") | wrong])
    assert not reply["ok"]
    assert words in reply["error"]


def test_a_patience_that_makes_no_sense_is_refused() -> None:
    assert "the patience must be" in ask(Agent(), op="stream-start", job="s", patience=0, flows=[])["error"]
