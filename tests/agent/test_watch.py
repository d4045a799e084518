"""The ring and the watch against the real kernel."""

from __future__ import annotations

import re
import select
import socket
import struct
import subprocess
import sys
import time
from typing import Any

import pytest

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture import wireguard
from pytest_ciliumwg.agent.capture.controls import send_control
from pytest_ciliumwg.agent.capture.machines import Machines
from pytest_ciliumwg.agent.capture.ring import Ring
from pytest_ciliumwg.agent.capture.rings import Plan
from pytest_ciliumwg.agent.capture.watch import Watch
from tests.patience import PATIENCE, await_

from . import frames_made as make
from .test_frames import OUTER, UDP4

pytestmark = pytest.mark.usefixtures("netns")

BLOCK = 1 << 20
ETH_P_ALL, SOL_PACKET, PACKET_STATISTICS = 3, 263, 6


def start(block_size: int = BLOCK, blocks: int = 4, devices: tuple[str, ...] = ("left",)) -> Watch:
    return Watch(Plan(list(devices), make.index(), block_size, blocks, 51871))


SENDER = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sock.bind((sys.argv[1], 0))
for line in sys.stdin:
    sock.send(bytes.fromhex(line))
"""


def send(*packets: Any) -> None:
    """Put frames on `right`, from another process: the watch must not share its interpreter with a busy sender.

    Returns when they have arrived at `left`, which on a busy machine the kernel may put off.
    """
    frames = [packet if isinstance(packet, bytes) else make.wire(packet) for packet in packets]
    lines = "\n".join(frame.hex() for frame in frames)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        tap.bind(("left", ETH_P_ALL))
        subprocess.run([sys.executable, "-ISc", SENDER, "right"], input=lines, text=True, check=True)
        arrived, deadline = 0, time.monotonic() + PATIENCE
        while arrived < len(frames) and time.monotonic() < deadline:
            arrived += int(struct.unpack("II", tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[0])
            time.sleep(0.001)


def seen(result: dict[str, Any]) -> list[tuple[int, str, bool, int]]:
    return [(row["flow"], row["device"], row["outgoing"], row["count"]) for row in result["seen"]]


def test_frames_are_seen_with_direction_and_evidence() -> None:
    watch = start(devices=("left", "right"))
    send(UDP4 / make.payload(make.UDP_FLOW, 64), UDP4 / make.payload(make.UDP_FLOW, 8000), make.Raw(b"other" * 20))
    result = watch.stop()
    assert sorted(seen(result)) == [(make.UDP_FLOW, "left", False, 2), (make.UDP_FLOW, "right", True, 2)]
    assert result["devices"]["left"]["frames"] == result["devices"]["left"]["kernel_frames"] == 3
    assert result["devices"]["left"]["drops"] == result["devices"]["left"]["truncated"] == 0
    assert result["started"] <= result["seen"][0]["first"] <= result["stopped"]
    assert result["seen"][0]["layers"] == "eth/ipv4/udp:20003"


def test_a_watch_counts_the_same_frames_as_tcpdump() -> None:
    dump = subprocess.Popen(
        ["tcpdump", "-B", "65536", "-i", "left", "-n", "-U", "--immediate-mode", "-w", "/dev/null"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert dump.stderr is not None
    while "listening on" not in dump.stderr.readline():
        pass
    watch = start()
    send(*[UDP4 / make.payload(make.UDP_FLOW, 60 + n) for n in range(2000)])
    result = watch.stop()
    dump.send_signal(2)
    captured = re.search(r"(\d+) packets received by filter", dump.stderr.read())
    dump.wait()
    dump.stderr.close()
    assert captured is not None
    assert result["devices"]["left"]["frames"] == int(captured[1]) == 2000


def test_nothing_before_the_start_and_nothing_after_the_stop() -> None:
    send(UDP4 / make.payload(make.UDP_FLOW, 64))
    watch = start()
    result = watch.stop()
    send(UDP4 / make.payload(make.UDP_FLOW, 64))
    assert result["seen"] == []
    assert watch.stop() is result


def test_a_tiny_ring_tells_how_many_frames_the_kernel_dropped() -> None:
    watch = start(block_size=4096, blocks=2)
    frame = make.wire(UDP4 / make.payload(make.UDP_FLOW, 1400))
    send(*[frame] * 3000)
    device = watch.stop()["devices"]["left"]
    assert device["drops"] > 0
    assert device["kernel_frames"] == 3000 == device["frames"] + device["drops"]


def test_a_ring_smaller_than_the_frame_tells_of_the_cut() -> None:
    watch = start(block_size=4096, blocks=8)
    send(make.Raw(b"x" * 8000), UDP4 / make.payload(make.UDP_FLOW, 8000))
    result = watch.stop()
    assert result["devices"]["left"]["truncated"] == 2
    assert result["seen"][0]["frames"][0][2] > 8000


def test_control_canary_is_seen_where_it_is_sent_and_where_it_arrives() -> None:
    watch = start(devices=("left", "right"))
    assert send_control(["right"], make.CANARIES.make(42, canary.CONTROL), [], []) == ([], [])
    result = watch.stop()
    assert sorted(seen(result)) == [(42, "left", False, 1), (42, "right", True, 1)]
    assert {row["mark"] for row in result["seen"]} == {canary.CONTROL}
    assert [row["frames"] for row in result["seen"]] == [[], []], "there are as many as nodes, and nobody looks at one"


def test_control_canary_on_a_device_that_is_not_there() -> None:
    (problem,), _ = send_control(["nope"], make.CANARIES.make(1, canary.CONTROL), [], [])
    assert problem.startswith("control canary on nope: ")


def test_a_device_that_vanishes_is_an_error_of_the_watch() -> None:
    watch = start()
    subprocess.run(["ip", "link", "del", "left"], check=True)
    await_(lambda: watch._errors)
    assert watch.stop()["errors"] == ["left: capture error 100 (device down or gone)"]


def test_a_device_that_is_missing_is_refused() -> None:
    with pytest.raises(OSError, match="No such device"):
        start(devices=("left", "nope"))


WG = OUTER / make.UDP(sport=51871, dport=51871)


def test_wireguard_messages_are_counted_by_kind_and_direction() -> None:
    watch = start()
    send(
        WG / make.Raw(b"\1\0\0\0" + b"i" * 144),
        WG / make.Raw(b"\2\0\0\0" + b"r" * 88),
        *[WG / make.Raw(b"\4\0\0\0" + b"d" * 124)] * 3,
        WG / make.Raw(b"\4\0\0\0" + b"k" * 28),
        WG / make.Raw(b"GET / HTTP/1.1 and no WireGuard"),
        make.IPv6(src="fd00:18::2", dst="fd00:18::3") / make.UDP(sport=9, dport=51871)
        / make.Raw(b"\4\0\0\0" + b"d" * 60),
        *make.fragments(WG / make.Raw(b"\4\0\0\0" + b"f" * 2000)),
        OUTER / make.UDP(sport=53, dport=53) / make.Raw(b"dns"),
    )  # fmt: skip
    rows = watch.stop()["devices"]["left"]["wireguard"]["messages"]
    counted = {
        (row["source"], row["kind"], row["keepalive"], row["fragmented"]): (row["count"], row["bytes"]) for row in rows
    }
    assert counted == {
        ("172.18.0.2", 1, False, False): (1, 148),
        ("172.18.0.2", 2, False, False): (1, 92),
        ("172.18.0.2", 4, False, False): (3, 384),
        ("172.18.0.2", 4, True, False): (1, 32),
        ("172.18.0.2", 0, False, False): (1, 31),
        ("fd00:18::2", 4, False, False): (1, 64),
        ("172.18.0.2", 4, False, True): (1, 2004),
    }


def test_what_has_wireguard_s_port_as_its_source_by_chance_is_no_message_of_its_own() -> None:
    """A tunnel's source port is a hash, and that of a client or of what was translated is any: this one too."""
    watch = start()
    framed = make.Raw(b"\4\0\0\0" + b"d" * 124)
    vxlan = make.Raw(b"\x08\0\0\0" + bytes(100))
    send(*(OUTER / make.UDP(sport=51871, dport=port) / payload for port, payload in ((8472, vxlan), (50000, framed))))
    rows = watch.stop()["devices"]["left"]["wireguard"]["messages"]
    assert [(row["kind"], row["count"]) for row in rows] == [(4, 1)], "behind NAT a peer has another port"


def test_wireguard_messages_that_differ_in_one_thing_are_told_apart() -> None:
    watch = start()
    v6 = make.IPv6(src="fd00:18::2", dst="fd00:18::3")
    packets = [
        ip / make.UDP(sport=51871, dport=port) / make.Raw(kind + b"\0\0\0" + b"x" * 88)
        for ip in (OUTER, v6)
        for kind in (b"\2", b"\4")
        for port in (51871, 9)
    ]
    for number, packet in enumerate(packets[:4]):
        packet.id = number
    send(*packets * 2)
    rows = watch.stop()["devices"]["left"]["wireguard"]["messages"]
    assert {(row["source"], row["kind"], row["count"]) for row in rows} == {
        (source, kind, 4) for source in ("172.18.0.2", "fd00:18::2") for kind in (2, 4)
    }


def test_wireguard_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wireguard, "_MOST_MESSAGES", 5)
    monkeypatch.setattr(wireguard, "_ALIKE_REMEMBERED", 5)
    watch = start()
    message = make.UDP(sport=51871, dport=51871) / make.Raw(b"\4\0\0\0" + b"x" * 60)
    send(*[make.IP(src=f"172.18.1.{n}", dst="172.18.0.3") / message for n in range(1, 21)])
    counted = watch.stop()["devices"]["left"]["wireguard"]
    assert (len(counted["messages"]), counted["drops"]) == (5, 15)
    assert len(watch._counters["left"]._alike) <= 5


def test_wireguard_s_last_messages_are_counted_though_the_kernel_still_holds_their_block() -> None:
    message = make.wire(OUTER / make.UDP(sport=51871, dport=51871) / make.Raw(b"\4\0\0\0" + bytes(1400)))
    counter = wireguard.MessageCounter("left", 51871, Machines())
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("right", 0))
        for _ in range(10):
            sock.send(message)
    counter.drain()
    (counted,) = counter.result()["messages"]
    assert (counted["count"], counter.result()["drops"]) == (10, 0)
    counter.close()


def test_a_block_is_kept_until_its_time() -> None:
    ring = Ring("left", 1 << 14, 4, None, 600)
    poller = select.poll()
    poller.register(ring.fileno(), select.POLLIN)
    began = time.monotonic()
    send(UDP4)
    assert poller.poll(5000)
    assert time.monotonic() - began > 0.4
    assert sum(block.held for block in ring.ready_blocks()) == 1
    ring.close()
