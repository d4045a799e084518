"""Frames of other machines on the same network: put aside where both of their ends are strangers, and counted."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.machines import Machines, packed_address
from pytest_ciliumwg.agent.capture.pod_filter import parse_network
from pytest_ciliumwg.agent.capture.pods import PodNetworks
from pytest_ciliumwg.agent.capture.ring import Frame
from pytest_ciliumwg.agent.capture.rings import Plan
from pytest_ciliumwg.agent.capture.watch import Watch

from . import frames_made as make
from .test_watch import send

STRANGER, ANOTHER, NODE = "02:00:00:00:00:99", "02:00:00:00:00:98", "02:00:00:00:00:97"
ENDS = make.IP(src=make.A4, dst=make.B4)
SHORT = ENDS / make.UDP(sport=40000, dport=20003) / make.Raw(b"x")
WITH_CANARY = ENDS / make.UDP(sport=40000, dport=20003) / make.payload(make.UDP_FLOW, 64)
WIREGUARD = make.IP(src=make.NODE_A, dst=make.NODE_B) / make.UDP(sport=51871, dport=51871) / make.Raw(bytes(40))
OTHERS = make.IP(src="10.244.1.77", dst="10.244.2.77") / make.UDP(sport=1, dport=2) / make.Raw(bytes(40))


def own() -> bytes:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("left", 0))
        mac: bytes = sock.getsockname()[4]
        return mac


def report(*frames: bytes, nodes: tuple[str, ...] = (NODE,)) -> dict[str, Any]:
    machines = Machines(frozenset([own(), *map(packed_address, nodes)])) if nodes else Machines()
    networks = PodNetworks([parse_network("10.244.0.0/16")], frozenset(map(socket.inet_aton, (make.A4, make.B4))), [])
    watch = Watch(Plan(["left"], make.index(), 1 << 20, 4, 51871, pods=networks, machines=machines))
    send(*frames)
    return watch.stop()


def framed(packet: Any, destination: str, source: str) -> bytes:
    return bytes(make.Ether(dst=destination, src=source) / packet)


def flows(result: dict[str, Any]) -> list[tuple[int, str, int]]:
    return [(row["flow"], row["how"], row["count"]) for row in result["seen"]]


@pytest.mark.usefixtures("netns")
def test_what_runs_between_strangers_is_counted_and_is_not_ours() -> None:
    result = report(*(framed(packet, STRANGER, ANOTHER) for packet in (SHORT, WIREGUARD, OTHERS)))
    device = result["devices"]["left"]
    assert (flows(result), device["wireguard"]["messages"], result["pods"]["conversations"]) == ([], [], [])
    assert device["foreign"] == {"flows": 1, "wireguard": 1, "pods": 1}


@pytest.mark.usefixtures("netns")
def test_a_canary_is_ours_whoever_sent_it() -> None:
    result = report(framed(WITH_CANARY, STRANGER, ANOTHER))
    assert flows(result) == [(make.UDP_FLOW, "canary", 1)]
    assert result["devices"]["left"]["foreign"]["flows"] == 0


@pytest.mark.usefixtures("netns")
@pytest.mark.parametrize("case", ["to this node", "from a node", "to a node", "to all", "nodes are not known"])
def test_one_end_that_is_a_node_makes_it_ours(case: str) -> None:
    destination, source = {
        "to this node": (own().hex(":"), STRANGER),
        "from a node": (STRANGER, NODE),
        "to a node": (NODE, STRANGER),
        "to all": ("ff:ff:ff:ff:ff:ff", STRANGER),
        "nodes are not known": (STRANGER, ANOTHER),
    }[case]
    frames = [framed(packet, destination, source) for packet in (SHORT, WIREGUARD, OTHERS)]
    result = report(*frames, nodes=() if case == "nodes are not known" else (NODE,))
    assert flows(result) == [(make.UDP_FLOW, "header", 1)]
    assert [row[:2] for row in result["pods"]["conversations"]] == [["10.244.1.77", "10.244.2.77"]]
    assert [row["count"] for row in result["devices"]["left"]["wireguard"]["messages"]] == [1]
    assert set(result["devices"]["left"]["foreign"].values()) == {0}


@pytest.mark.usefixtures("netns")
def test_a_packet_without_an_ethernet_header_is_ours() -> None:
    short6 = make.IPv6(src=make.A6, dst=make.B6) / make.TCP(sport=40000, dport=20005)
    result = report(bytes(short6))
    assert flows(result) == [(make.TCP6_FLOW, "header", 1)]


def test_what_a_node_sends_is_its_own_whatever_the_addresses_say() -> None:
    machines, data = Machines(frozenset([packed_address(NODE)])), framed(SHORT, STRANGER, ANOTHER)
    assert machines.are_others(Frame(0, len(data), len(data), 0.0, False, None, overheard=True), data)
    assert not machines.are_others(Frame(0, len(data), len(data), 0.0, True, None), data)
    assert not machines.are_others(Frame(0, 13, 13, 0.0, False, None, overheard=True), data[:13])


@pytest.mark.parametrize("text", ["", "00:00:00:00:00:00", "02:00:00:00:00", "x2:00:00:00:00:01"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no Ethernet address|hexadecimal"):
        packed_address(text)


def test_the_mark_of_a_control_is_a_canary_too() -> None:
    frame = framed(make.Raw(canary.fill(make.token(3, canary.CONTROL), 64)), STRANGER, ANOTHER)
    assert [hit.how for hit in make.index().find_all(frame)] == ["canary"]
