"""Sender and server against each other, over real sockets, in a namespace of their own."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import sh
from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.traffic import payload
from pytest_ciliumwg.agent.traffic.sender import Sender
from pytest_ciliumwg.agent.traffic.server import Server
from pytest_ciliumwg.agent.traffic.sockets import NoPortError, bound_socket, route_mtu
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("netns")

CANARIES = canary.Canaries.of(b"of the tests")


def flow(number: int, protocol: str, size: int = 100, *, v6: bool = False, **more: Any) -> dict[str, Any]:
    address = "::1" if v6 else "127.0.0.1"
    return {
        "id": number,
        "protocol": protocol,
        "source": address,
        "destination": address,
        "port": 20000 + number,
        "token": CANARIES.make(number, canary.REQUEST).hex(),
        "reply": CANARIES.make(number, canary.REPLY).hex(),
        "payload_size": size,
        "count": 5,
        "interval": 0.0,
        **more,
    }


def run(*flows: dict[str, Any], serve: bool = True, timeout: float = 3.0) -> tuple[list[Any], list[Any]]:
    server = Server([flow for flow in flows if flow["protocol"] != "icmp"] if serve else [])
    sender = Sender(list(flows), timeout)
    assert sender.finished.wait(PATIENCE)
    server.stop()
    return sorted(sender.results(), key=lambda row: row["id"]), server.counts()


def test_all_protocols_and_families_are_answered() -> None:
    flows = [
        flow(number, protocol, size, v6=v6)
        for number, (protocol, size, v6) in enumerate(
            (protocol, size, v6)
            for v6 in (False,)
            for protocol in ("icmp", "udp", "tcp")
            for size in ((8, 4000) if protocol == "tcp" else (1, 3, 4, 1400, 9000))
        )
    ]
    rows, served = run(*flows)
    for row in rows:
        assert (row["received"], row["sent"], row["error"], row["duplicates"]) == (5, 5, None, 0), row
        assert 0 < row["started"] <= row["finished"] <= time.time()
    assert {account["served"] for account in served} == {5}
    assert all(account["first"] <= account["last"] for account in served)


def test_the_payload_of_both_directions_carries_its_canary() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server = Server([flow(7, "udp")])
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", 20007))
        client.send(payload.datagram(3, CANARIES.make(7, canary.REQUEST), 60))
        answer = client.recv(100)
        server.stop()
    assert payload.number_of(answer) == 3
    assert len(answer) == 60
    assert CANARIES.read(answer, answer.index(CANARIES.prefix)) == (7, canary.REPLY)


def test_nobody_answers() -> None:
    rows, _ = run(flow(1, "udp"), flow(2, "tcp"), serve=False, timeout=2.5)
    assert rows[0]["received"] == 0
    assert rows[0]["error"] == "no answer to 5 of 5 messages"
    assert rows[0]["repeated"] > 0
    assert rows[1]["error"] == "Connection refused"


def test_flows_without_an_answer_keep_none_waiting() -> None:
    dead = [flow(number, "udp", patience=10.0) for number in range(40)]
    alive = [flow(number, "icmp") for number in range(40, 80)]
    sender = Sender([*dead, *alive], 4.0)
    assert sender.finished.wait(PATIENCE)
    rows = {row["id"]: row for row in sender.results()}
    assert {rows[number]["received"] for number in range(40)} == {0}
    # Forty start one after the other, 0.1 s apart, and only then those that are answered.
    assert {rows[number]["received"] for number in range(40, 80)} == {5}


@pytest.mark.parametrize(("count", "finished"), [(60, True), (1000, False)])
def test_while_answers_come_a_sender_goes_on_for_some_time(count: int, finished: bool) -> None:
    (row,), _ = run(flow(1, "icmp", count=count, interval=0.02), timeout=0.5)
    assert (row["received"] == count, row["unfinished"]) == (finished, not finished)


def test_what_was_never_begun_had_no_time() -> None:
    sender = Sender([flow(number, "udp", patience=100.0) for number in range(20)], 0.3)
    assert sender.finished.wait(PATIENCE)
    rows = sender.results()
    assert sorted(row["id"] for row in rows) == list(range(20))
    assert sum(row["sent"] == 0 for row in rows) == 4
    assert all(row["unfinished"] for row in rows)


def test_a_message_that_must_not_be_fragmented_and_does_not_fit() -> None:
    sh("ip link set lo mtu 1500")
    rows, _ = run(flow(1, "udp", 1472, dont_fragment=True), flow(2, "udp", 1473, dont_fragment=True))
    assert rows[0]["error"] is None
    assert rows[1]["error"] == "Message too long"
    assert rows[1]["received"] == 0


def test_the_first_answer_ends_a_flow_that_opens_a_session() -> None:
    rows, _ = run(flow(1, "icmp", until_reply=True, count=1))
    assert (rows[0]["received"], rows[0]["error"]) == (1, None)


def test_a_source_address_that_is_not_ours() -> None:
    rows, _ = run(flow(1, "udp") | {"source": "192.0.2.1"})
    assert "Cannot assign requested address" in rows[0]["error"]


def test_a_port_that_is_taken_is_told_by_flow() -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 20001))
        squatter.listen()
        server = Server([flow(1, "tcp"), flow(2, "tcp")])
        server.stop()
        server.stop()
    assert list(server.errors) == ["1"]
    assert server.errors["1"].startswith("tcp port 20001: ")


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">II", 1 << 31, 0), b"\0" * 100, struct.pack(">II", 100, 1)]
)
def test_garbage_on_a_served_port_harms_nobody(garbage: bytes) -> None:
    server = Server([flow(1, "tcp"), flow(2, "udp")])
    with socket.create_connection(("127.0.0.1", 20001)) as stream:
        stream.sendall(garbage)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(garbage, ("127.0.0.1", 20002))
        datagrams.sendto(b"", ("127.0.0.1", 20002))
    sender = Sender([flow(1, "tcp"), flow(2, "udp")], 3.0)
    assert sender.finished.wait(PATIENCE)
    server.stop()
    assert {row["received"] for row in sender.results()} == {5}


def test_a_server_that_answers_garbage_ends_the_flow() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 20001))
        listener.listen()
        sender = Sender([flow(1, "tcp")], 3.0)
        connection, _ = listener.accept()
        connection.sendall(b"\xff" * 40)
        assert sender.finished.wait(PATIENCE)
        connection.close()
    assert "in the TCP stream" in sender.results()[0]["error"]


def test_a_server_that_hangs_up_ends_the_flow() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 20001))
        listener.listen()
        sender = Sender([flow(1, "tcp")], 3.0)
        listener.accept()[0].close()
        assert sender.finished.wait(PATIENCE)
    assert sender.results()[0]["error"] is not None


def test_a_sender_can_be_stopped() -> None:
    sender = Sender([flow(1, "udp")], 30.0)
    sender.stop()
    assert sender.finished.is_set()


def test_route_mtu_is_the_kernels() -> None:
    sh("ip link set lo mtu 1234")
    assert route_mtu("127.0.0.1") == 1234


def ephemeral_ports(first: int, last: int) -> None:
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{first} {last}")


@pytest.mark.parametrize("source", ["127.0.0.1", "::1"])
def test_no_datagram_comes_from_the_port_of_wireguard(source: str) -> None:
    ephemeral_ports(51870, 51871)
    for _ in range(20):
        with bound_socket(socket.SOCK_DGRAM, source) as sock:
            assert sock.getsockname()[1] == 51870


def test_a_flow_that_gets_no_other_port_is_told_and_not_sent() -> None:
    ephemeral_ports(51871, 51871)
    with pytest.raises(NoPortError):
        bound_socket(socket.SOCK_DGRAM, "127.0.0.1")
    sender = Sender([flow(1, "udp")], 5.0)
    assert sender.finished.wait(PATIENCE)
    (row,) = sender.results()
    assert row["refused"]
    assert "no UDP port is free" in row["error"]


def test_a_machine_without_a_free_port_is_told_too() -> None:
    ephemeral_ports(40000, 40000)
    with bound_socket(socket.SOCK_DGRAM, "127.0.0.1"), pytest.raises(NoPortError, match="no UDP port is free"):
        bound_socket(socket.SOCK_DGRAM, "127.0.0.1")


@pytest.mark.parametrize(("seconds", "unfinished"), [(0.2, True), (5.0, False)])
def test_what_time_did_not_suffice_for_is_told_from_what_was_given_up(seconds: float, unfinished: bool) -> None:
    sender = Sender([flow(1, "udp", rounds=0, patience=1.5)], seconds)
    assert sender.finished.wait(PATIENCE)
    (row,) = sender.results()
    assert (row["received"], row["unfinished"]) == (0, unfinished)
