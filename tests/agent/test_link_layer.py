"""A device without Ethernet headers is watched like any other: its frames are IP packets."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator

import pytest

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.controls import send_control
from pytest_ciliumwg.agent.capture.link_layer import has_ethernet, send_packet
from pytest_ciliumwg.agent.capture.machines import Machines
from pytest_ciliumwg.agent.capture.pod_filter import parse_network
from pytest_ciliumwg.agent.capture.pods import PodNetworks, PodWatch, send_pod_controls
from pytest_ciliumwg.agent.capture.rings import Plan
from pytest_ciliumwg.agent.capture.watch import Watch
from pytest_ciliumwg.agent.capture.wireguard import MessageCounter

from . import frames_made as make

pytestmark = pytest.mark.usefixtures("netns")

DEVICE = "tun7"
INITIATION = b"\x01\0\0\0" + bytes(144)
DATA = b"\x04\0\0\0" + bytes(range(60))


@pytest.fixture
def tun(netns: None) -> Iterator[int]:
    """The program's end of a device: what is written into it arrives."""
    del netns
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", DEVICE.encode(), 0x1001))
    subprocess.run(["ip", "link", "set", DEVICE, "up"], check=True)
    yield end
    os.close(end)


def wireguard(six: bool, payload: bytes) -> bytes:
    head = make.IPv6(src="fd00::1", dst="fd00::2") if six else make.IP(src=make.NODE_A, dst=make.NODE_B)
    return bytes(head / make.UDP(sport=51871, dport=51871) / make.Raw(payload))


def test_which_device_has_a_header(tun: int) -> None:
    del tun
    assert has_ethernet("left")
    assert not has_ethernet(DEVICE)
    with pytest.raises(OSError, match="No such device"):
        has_ethernet("nope")


def test_wireguards_messages_are_counted(tun: int) -> None:
    counter = MessageCounter(DEVICE, 51871, Machines())
    for six in (False, True):
        os.write(tun, wireguard(six, INITIATION))
        send_packet(DEVICE, wireguard(six, DATA))
    os.write(tun, bytes(make.IP(src=make.NODE_A, dst=make.NODE_B) / make.UDP(dport=53) / make.Raw(DATA)))
    counter.drain()
    found = counter.result()
    counter.close()
    assert {(row["source"], row["outgoing"], row["kind"], row["count"]) for row in found["messages"]} == {
        (make.NODE_A, False, 1, 1), (make.NODE_A, True, 4, 1), ("fd00::1", False, 1, 1), ("fd00::1", True, 4, 1),
    }  # fmt: skip
    assert found["drops"] == 0


def test_packets_of_other_pods_are_seen_and_the_control_packets_too(tun: int) -> None:
    networks = [parse_network("10.244.0.0/16"), parse_network("fd00:10:244::/48")]
    controls = [parse_network(address)[0] for address in ("192.0.2.1/32", "2001:db8::1/128")]
    watch = PodWatch([DEVICE], PodNetworks(networks, frozenset(), controls), Machines())
    send_pod_controls([DEVICE], controls)
    plain = make.IP(src="10.244.1.5", dst="10.244.2.5") / make.UDP(sport=1000, dport=80) / make.Raw(b"secret")
    outer = make.IP(src=make.NODE_A, dst=make.NODE_B) / make.UDP(sport=1, dport=8472) / make.VXLAN(vni=5)
    os.write(tun, bytes(plain))
    send_packet(DEVICE, bytes(outer / make.ETHERNET / plain))
    watch.drain()
    report = watch.report()
    watch.close()
    assert report["controls"] == [(DEVICE, 4), (DEVICE, 6)]
    assert sorted(row[:6] for row in report["conversations"]) == [
        ["10.244.1.5", "10.244.2.5", 17, DEVICE, False, ""],
        ["10.244.1.5", "10.244.2.5", 17, DEVICE, True, "vxlan"],
    ]


def test_our_own_are_found_and_the_control_canary_is_heard(tun: int) -> None:
    watch = Watch(Plan(devices=[DEVICE], flows=make.index(), block_size=1 << 18, blocks=8, wireguard_port=51871))
    assert send_control([DEVICE], make.CANARIES.make(42, canary.CONTROL), [], []) == ([], [])
    packet = make.IP(src=make.A4, dst=make.B4) / make.UDP(dport=20003) / make.payload(make.UDP_FLOW, 64)
    os.write(tun, bytes(packet))
    found = {(row["flow"], row["outgoing"], row["layers"]) for row in watch.stop()["seen"]}
    assert found == {(42, True, "ipv4/udp:9"), (make.UDP_FLOW, False, "ipv4/udp:20003")}
