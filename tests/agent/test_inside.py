"""The inside of the tunnel, on a real layer 3 device: what is counted, in which direction, and what is not proven."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conftest import sh
from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture import inside
from pytest_ciliumwg.agent.capture.controls import send_inside
from pytest_ciliumwg.agent.capture.inside import QUIET_SECONDS, Inside, Tunnel
from pytest_ciliumwg.agent.capture.inside_log import InsideLog
from pytest_ciliumwg.agent.capture.rings import Plan
from pytest_ciliumwg.agent.capture.watch import Watch
from pytest_ciliumwg.agent.log import Log
from pytest_ciliumwg.agent.traffic.payload import datagram, message

from . import frames_made as make

pytestmark = pytest.mark.usefixtures("netns")

DEVICE = "cilium_wg0"
CONTROL = make.CANARIES.make(6, canary.CONTROL)


@contextmanager
def tun() -> Iterator[int]:
    """A device without link headers, such as WireGuard's; what is written to the file comes out of the device."""
    file = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(file, 0x400454CA, struct.pack("16sH22x", DEVICE.encode(), 0x0001 | 0x1000))
        sh(f"ip link set {DEVICE} up")
        yield file
    finally:
        os.close(file)


def watch(*, headers: bool = False) -> Watch:
    return Watch(Plan(["left"], make.index(), 1 << 17, 8, 51871, Tunnel(DEVICE, headers)))


def udp(size: int, flow: int = make.UDP_FLOW, payload: bytes | None = None) -> bytes:
    packet = make.IP(src=make.A4, dst=make.B4) / make.UDP(sport=40000, dport=20003)
    return bytes(packet / (make.payload(flow, size) if payload is None else make.Raw(payload)))


def counts(result: dict[str, Any]) -> list[tuple[int, bool, str, int, int]]:
    return [tuple(row[:5]) for row in result["inside"]["passages"]]


def test_packets_are_counted_by_flow_and_direction() -> None:
    with tun() as file:
        one = watch()
        for size in (100, 200, 300):
            os.write(file, udp(size))
        os.write(file, udp(100, payload=b"of somebody else" * 20))
        assert send_inside(DEVICE, CONTROL)
        result = one.stop()
    assert counts(result) == [(make.UDP_FLOW, False, "canary", 3, 600)]
    assert result["inside"]["controls"] == [6]
    assert (result["inside"]["present"], result["inside"]["missed"]) == (True, 0)
    assert result["inside"]["frames"] >= 5
    assert not result["seen"], "what is inside is no sighting"


def test_a_segment_that_begins_at_the_end_of_a_message_is_counted_by_its_first_whole_canary() -> None:
    token = make.token(make.UDP_FLOW)
    with tun() as file:
        one = watch()
        os.write(file, udp(0, payload=token[:8] + b"\0\0\0\x40\0\0\0\1" + token * 4))
        result = one.stop()
    assert counts(result) == [(make.UDP_FLOW, False, "canary", 1, 64)]


@pytest.mark.parametrize("size", [64, 3000])
def test_messages_that_pass_twice_and_later_fragments_are_no_other_messages(size: int) -> None:
    token = make.token(make.UDP_FLOW)
    with tun() as file:
        one = watch()
        for number in (0, 1, 1, 70_000):
            message = make.IP(src=make.A4, dst=make.B4) / make.UDP(sport=1, dport=20003)
            for part in make.fragments(message / make.Raw(datagram(number, token, size)), 800):
                os.write(file, bytes(part))
        result = one.stop()
    ((*_, numbers),) = result["inside"]["passages"]
    assert numbers == 3
    assert result["inside"]["frames"] >= (16 if size > 800 else 4)


@pytest.mark.parametrize("sizes", [(256,) * 3, (260,) * 2, (1000, 1000, 40)])
def test_messages_that_a_tun_merged_are_counted_one_by_one(sizes: tuple[int, ...]) -> None:
    token = make.token(make.UDP_FLOW)
    messages = [datagram(number, token, size) for number, size in enumerate(sizes)]
    with tun() as file:
        one = watch()
        os.write(file, udp(0, payload=b"".join(messages)))
        result = one.stop()
    ((*passage, _, _, numbers),) = result["inside"]["passages"]
    assert passage == [make.UDP_FLOW, False, "canary", len(sizes), sum(sizes) - 4]
    assert numbers == len(sizes)


@pytest.mark.parametrize("overlay", ["vxlan", "geneve"])
def test_packets_of_several_flows_that_a_tun_merged_are_counted_by_flow(overlay: str) -> None:
    """Newer wireguard-go merges an overlay's UDP packets, whatever flows they hold."""
    inner = make.IP(src=make.A4, dst=make.B4)
    echo = make.ICMP(id=20001)
    packets = [
        *(inner / make.UDP(dport=20003) / make.Raw(datagram(n, make.token(make.UDP_FLOW), 64)) for n in (0, 1)),
        inner / echo / make.payload(make.ICMP_FLOW, 64),
        make.IPv6(src=make.A6, dst=make.B6) / make.ICMPv6EchoRequest(id=20004) / make.payload(make.ICMP6_FLOW, 64),
        inner / echo / make.Raw(b"x"),
    ]
    header = make.VXLAN(vni=2) if overlay == "vxlan" else make.GENEVE(vni=2, options=[make.GeneveOptions()])
    merged = b"".join(bytes(header / make.ETHERNET / packet) for packet in packets)
    port = {"vxlan": 8472, "geneve": 6081}[overlay]
    with tun() as file:
        one = watch(headers=True)
        os.write(file, bytes(make.IP(src=make.NODE_A, dst=make.NODE_B) / make.UDP(sport=port, dport=port) / merged))
        result = one.stop()
    assert sorted(counts(result)) == [
        (make.ICMP_FLOW, False, "canary", 1, 64),
        (make.ICMP_FLOW, False, "header", 1, 0),
        (make.UDP_FLOW, False, "canary", 2, 120),
        (make.ICMP6_FLOW, False, "canary", 1, 64),
    ]


def test_a_stream_has_no_messages_to_count() -> None:
    token = make.token(make.TCP_FLOW)
    segment = make.IP(src=make.A4, dst=make.B4) / make.TCP(sport=40000, dport=20002, flags="A")
    with tun() as file:
        one = watch()
        os.write(file, bytes(segment / make.Raw(message(1, token, 200) + message(2, token, 200))))
        result = one.stop()
    assert counts(result) == [(make.TCP_FLOW, False, "canary", 1, 392)]


def segments() -> list[bytes]:
    """Segments without payload of both TCP flows, twice each, and some that are nobody's or not whole."""
    v4, v6 = make.IP(src=make.A4, dst=make.B4), make.IPv6(src=make.A6, dst=make.B6)
    options = [("MSS", 1360), ("NOP", None), ("WScale", 7)]
    syn, other = make.TCP(sport=40000, dport=20002, flags="S", options=options), make.TCP(sport=40000, dport=443)
    ours = [
        v4 / syn,
        make.IP(src=make.B4, dst=make.A4) / make.TCP(sport=20002, dport=40000, flags="SA"),
        make.IP(src=make.A4, dst=make.B4, options=make.IPOption(b"\x01" * 4)) / make.TCP(sport=40000, dport=20002),
        v6 / make.TCP(sport=40000, dport=20005, flags="F"),
    ]
    strangers = [make.IP(src=make.A4, dst="10.244.9.9") / other, make.IP(src="10.244.9.9", dst=make.B4) / other]
    return [bytes(packet) for packet in [*ours, *strangers] * 2] + [bytes(v4 / syn)[:39], bytes(v4 / syn)[:30]]


@pytest.mark.parametrize("many_ours", [0, 1 << 30, None], ids=["searched", "each is looked at", "as usual"])
def test_segments_without_payload_are_counted_by_their_ends(
    many_ours: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if many_ours is not None:
        monkeypatch.setattr(inside, "_MANY_OURS", many_ours)
    stranger = make.IP(src="10.244.8.8", dst="10.244.9.9") / make.UDP(dport=20003) / make.Raw(b"of somebody else")
    with tun() as file:
        one = watch(headers=True)
        for _ in range(3):
            for packet in [*segments(), udp(300), bytes(stranger)]:
                os.write(file, packet)
            time.sleep(0.15)  # a block is handed over
        result = one.stop()
    assert sorted(counts(result)) == [
        (make.TCP_FLOW, False, "header", 24, 0),
        (make.UDP_FLOW, False, "canary", 3, 900),
        (make.TCP6_FLOW, False, "header", 6, 0),
    ]


def test_what_goes_in_is_told_from_what_comes_out() -> None:
    with tun():
        one = watch()
        sh(f"ip route add {make.B4} dev {DEVICE}; ip addr add {make.A4}/32 dev {DEVICE}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(canary.fill(make.token(make.UDP_FLOW), 64), (make.B4, 20003))
        result = one.stop()
    assert counts(result) == [(make.UDP_FLOW, True, "canary", 1, 64)]


@pytest.mark.parametrize("headers", [True, False])
def test_packets_too_short_for_a_canary_are_known_by_their_header_where_asked_for(headers: bool) -> None:
    with tun() as file:
        one = watch(headers=headers)
        os.write(file, udp(1, payload=b"x"))
        os.write(file, udp(1, payload=b"xyz"))  # as a tun device merges three
        result = one.stop()
    assert counts(result) == ([(make.UDP_FLOW, False, "header", 2, 4)] if headers else [])


def test_a_device_that_comes_later_is_taken_up() -> None:
    one = watch()
    assert one.stop()["inside"]["present"] is False
    inside = Inside(Tunnel(DEVICE, headers=False), make.index(), 1 << 17, 8)
    assert not inside.present
    with tun() as file:
        assert inside.follow()
        os.write(file, udp(100))
        inside.drain(time.time())
        assert inside.report()["passages"][0][:4] == [make.UDP_FLOW, False, "canary", 1]
    inside.close()


def test_packets_that_were_not_read_are_told() -> None:
    with tun() as file:
        inside = Inside(Tunnel(DEVICE, headers=False), make.index(), 4096, 2)
        for _ in range(50):
            os.write(file, udp(1000, payload=bytes(1000)))
        inside.drain(time.time())
        report = inside.report()
        inside.close()
    assert report["missed"] > 0
    assert report["frames"] + report["missed"] >= 50


def logged(log: Log, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in log.after(0) if entry["kind"] == kind]


def test_a_gap_in_a_flow_is_told_and_so_is_one_that_lasts_to_the_end() -> None:
    with tun() as file:
        inside, log = Inside(Tunnel(DEVICE, headers=False), make.index(), 1 << 17, 8), Log()
        inside_log = InsideLog(inside, log)
        os.write(file, udp(100))
        time.sleep(QUIET_SECONDS + 0.05)  # a gap is a time in which nothing happens
        os.write(file, udp(100))
        inside.drain(time.time() + 5)
        inside_log.step()
        inside.close()
    gaps = logged(log, "inside-gap")
    assert [(gap["flow"], gap["outgoing"]) for gap in gaps] == [(make.UDP_FLOW, False)] * 2
    assert gaps[0]["last"] - gaps[0]["first"] >= QUIET_SECONDS
    assert gaps[1]["first"] == gaps[0]["last"]
    assert gaps[1]["last"] - gaps[1]["first"] > 4


def test_a_watch_that_does_not_see_its_control_canaries_says_so() -> None:
    with tun():
        chain = f'add chain netdev deaf out {{ type filter hook egress device "{DEVICE}" priority 0; policy drop; }}'
        sh(f"nft 'add table netdev deaf; {chain}'")
        inside, log = Inside(Tunnel(DEVICE, headers=False), make.index(), 1 << 17, 8), Log()
        inside_log = InsideLog(inside, log)
        for number in range(6):
            inside_log.beat(number, make.CANARIES.make(number, canary.CONTROL))
            inside_log.step()
        inside.close()
    assert "were not seen" in logged(log, "inside-blind")[0]["what"]


def test_a_device_that_is_down_lets_nothing_pass_and_so_nothing_is_missed() -> None:
    with tun():
        inside, log = Inside(Tunnel(DEVICE, headers=False), make.index(), 1 << 17, 8), Log()
        inside_log = InsideLog(inside, log)
        sh(f"ip link set {DEVICE} down")
        for number in range(6):
            inside_log.beat(number, make.CANARIES.make(number, canary.CONTROL))
            inside_log.step()
        inside.close()
    assert not log.after(0)


def test_a_device_that_was_made_anew_leaves_a_time_that_is_not_proven() -> None:
    inside, log = Inside(Tunnel(DEVICE, headers=False), make.index(), 1 << 17, 8), Log()
    inside_log = InsideLog(inside, log)
    for _ in range(2):
        with tun():
            inside_log.step()
        inside_log.step()
    inside.close()
    assert len(logged(log, "inside-blind")) == 2
