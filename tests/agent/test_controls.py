"""Control canaries by all ways, over real devices: what a watch at the other end hears of them."""

from __future__ import annotations

import subprocess
import time

import pytest

from conftest import sh
from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture import packets
from pytest_ciliumwg.agent.capture.controls import BROADCAST, WAYS, send_control, way_of
from pytest_ciliumwg.agent.capture.layers import describe
from pytest_ciliumwg.agent.capture.next_hop import NextHop, next_hop
from pytest_ciliumwg.agent.capture.rings import Plan
from pytest_ciliumwg.agent.capture.watch import Watch

from . import frames_made as make

pytestmark = pytest.mark.usefixtures("netns")

NEAR4, NEAR6, FAR4, FAR6 = "192.0.2.2", "fd00:2::2", "198.51.100.7", "fd00:99::7"
MAC = "02:00:00:00:00:77"


@pytest.fixture
def neighbour(netns: None) -> None:
    """`right` has addresses and routes; who is at their other end is known."""
    sh("sysctl -qw net.ipv6.conf.right.disable_ipv6=0")
    sh("ip addr add 192.0.2.1/24 dev right; ip addr add fd00:2::1/64 dev right nodad")
    sh(f"ip neigh replace {NEAR4} lladdr {MAC} dev right; ip neigh replace {NEAR6} lladdr {MAC} dev right")
    sh(f"ip route add 198.51.100.0/24 via {NEAR4}; ip -6 route add fd00:99::/64 via {NEAR6}")


def arrivals(targets: list[str], ways: list[str]) -> list[str]:
    """The layers of control canaries that arrive at `left`, sent one by one."""
    found: list[str] = []
    for target in targets:
        for way in ways:
            watch = Watch(Plan(["left"], make.index(), 1 << 20, 4, 51871))
            assert send_control([], make.CANARIES.make(42, canary.CONTROL), [target], [way]) == ([], [])
            deadline = time.monotonic() + 0.5
            while not watch.controls_arrived() and time.monotonic() < deadline:
                time.sleep(0.02)
            found += [row["layers"] for row in watch.stop()["seen"] if row["mark"] == canary.CONTROL]
    return found


@pytest.mark.usefixtures("neighbour")
def test_every_way_arrives() -> None:
    assert arrivals([NEAR4, FAR6], list(WAYS)) == [
        *("eth/ipv4/udp:9", "eth/ipv4/icmp", "eth/ipv4/tcp:4240"),
        *("eth/ipv6/udp:9", "eth/ipv6/icmpv6", "eth/ipv6/tcp:4240"),
    ]


@pytest.mark.usefixtures("neighbour")
def test_what_the_egress_program_takes_does_not_arrive_and_what_goes_past_it_does() -> None:
    """As with node encryption, where all that goes to other nodes is redirected into the tunnel."""
    sh("ip link add elsewhere type veth peer name nowhere; ip link set elsewhere up; tc qdisc add dev right clsact")
    sh("tc filter add dev right egress protocol ip u32 match u32 0 0 action mirred egress redirect dev elsewhere")
    ways = list(WAYS)
    assert arrivals([NEAR4], ways[:1]) == []
    assert arrivals([NEAR4, FAR4], ways[1:]) == ["eth/ipv4/icmp", "eth/ipv4/tcp:4240"] * 2


@pytest.mark.usefixtures("neighbour")
def test_the_next_hop_is_the_router_where_there_is_one() -> None:
    mac = bytes.fromhex(MAC.replace(":", ""))
    assert next_hop(packets.packed(FAR4)) == NextHop("right", packets.packed("192.0.2.1"), mac)
    assert next_hop(packets.packed(NEAR6)) == NextHop("right", packets.packed("fd00:2::1"), mac)


@pytest.mark.usefixtures("neighbour")
def test_a_target_without_a_way_to_it_is_told() -> None:
    token = make.CANARIES.make(1, canary.CONTROL)
    problems, unreached = send_control([], token, ["203.0.113.1", "192.0.2.9"], ["ICMP echo"])
    assert problems == []
    assert unreached == [
        "control canary to 203.0.113.1 by ICMP echo: [Errno 101] Network is unreachable",
        "control canary to 192.0.2.9 by ICMP echo: [Errno 113] who is at the next hop is not known yet",
    ]


@pytest.mark.parametrize(("source", "destination"), [("192.0.2.1", NEAR4), ("fd00:2::1", NEAR6)])
def test_packets_are_whole_and_their_checksums_true(source: str, destination: str) -> None:
    ends = packets.packed(source), packets.packed(destination)
    made = [
        packets.udp(*ends, 9, b"odd"),
        packets.echo_request(*ends, 7, b"payload"),
        packets.syn(*ends, (61000, 4240), b"payload"),
    ]
    for packet in made:
        read = (make.IP if packet[0] >> 4 == 4 else make.IPv6)(packet)
        true = bytes(read)
        for layer in (read, read.payload):
            for name in ("chksum", "cksum"):
                if name in layer.fields:
                    delattr(layer, name)
        assert bytes(read) == true == packet


def test_the_way_follows_from_the_layers() -> None:
    frame = make.wire(make.IP(src="192.0.2.1", dst=NEAR4) / make.UDP(dport=9))
    assert way_of(describe(frame)) == next(iter(WAYS))
    assert way_of("eth/vlan:5/0x88b5") == BROADCAST
    assert way_of("eth/ipv4/icmp") == "ICMP echo"
    assert way_of("eth/ipv4/tcp:4240") == list(WAYS)[2]
    assert way_of("eth/unheard-of") == "eth/unheard-of"


def test_nothing_leaves_a_device_without_a_route() -> None:
    subprocess.run(["ip", "-4", "route", "flush", "table", "main"], check=True)
    _, (why,) = send_control([], make.CANARIES.make(1, canary.CONTROL), [FAR4], ["TCP to port 4240"])
    assert why.startswith(f"control canary to {FAR4} by TCP to port 4240: [Errno 101]")
