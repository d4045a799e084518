"""Packets between pods by their headers: what the kernel hands over, what is counted, and that no payload is read."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ciliumwg.agent.capture.machines import Machines
from pytest_ciliumwg.agent.capture.pod_filter import parse_network, pod_filter
from pytest_ciliumwg.agent.capture.pods import (
    PodNetworks,
    PodWatch,
    conversation,
    send_pod_controls,
)

from . import frames_made as make
from .test_watch import send

NETWORKS = [parse_network("10.244.0.0/16"), parse_network("fd00:10:244::/48")]
CONTROLS = [parse_network(address)[0] for address in ("192.0.2.1/32", "2001:db8::1/128")]
SECRET = make.Raw(b"nobody else's business " * 40)
A, B, OURS = "10.244.1.11", "10.244.2.11", "10.244.1.10"
A6, B6 = "fd00:10:244:1::b", "fd00:10:244:2::b"
ETH = make.ETHERNET
OUTER = ETH / make.IP(src=make.NODE_A, dst=make.NODE_B)
INNER = ETH / make.IP(src=A, dst=B) / make.UDP(sport=40000, dport=80) / SECRET
INNER6 = ETH / make.IPv6(src=A6, dst=B6) / make.TCP(sport=40000, dport=443) / SECRET
GENEVE = make.GENEVE(optionlen=2, options=[make.GeneveOptions(data=b"\x01\x02\x03\x04")])

CASES: dict[str, tuple[Any, tuple[str, str, int, str, tuple[int, int]] | None]] = {
    "udp": (ETH / INNER[make.IP], (A, B, 17, "", (40000, 80))),
    "tcp over IPv6": (ETH / INNER6[make.IPv6], (A6, B6, 6, "", (40000, 443))),
    "icmp": (ETH / make.IP(src=A, dst=B) / make.ICMP() / SECRET, (A, B, 1, "", (0, 0))),
    "options in the header": (
        ETH / make.IP(src=A, dst=B, options=[make.IPOption(b"\x94\x04\x00\x00")]) / make.UDP(sport=1, dport=2) / SECRET,
        (A, B, 17, "", (1, 2)),
    ),
    "a later fragment": (ETH / make.IP(src=A, dst=B, frag=100, proto=17) / SECRET, (A, B, 17, "", (0, 0))),
    "vxlan": (OUTER / make.UDP(sport=1, dport=8472) / make.VXLAN(vni=5) / INNER, (A, B, 17, "vxlan", (40000, 80))),
    "vxlan at the standard port": (
        OUTER / make.UDP(sport=1, dport=4789) / make.VXLAN(vni=5) / INNER6, (A6, B6, 6, "vxlan", (40000, 443)),
    ),
    "vxlan over IPv6": (
        ETH / make.IPv6(src="fd00:18::2", dst="fd00:18::3") / make.UDP(sport=1, dport=8472) / make.VXLAN(vni=5) / INNER,
        (A, B, 17, "vxlan", (40000, 80)),
    ),
    "geneve with options": (OUTER / make.UDP(sport=1, dport=6081) / GENEVE / INNER, (A, B, 17, "geneve", (40000, 80))),
    "vxlan at a port of its own": (
        OUTER / make.UDP(sport=1, dport=8223) / make.VXLAN(vni=5, flags=8) / INNER6, (A6, B6, 6, "vxlan", (40000, 443)),
    ),
    "geneve at a port of its own": (
        OUTER / make.UDP(sport=1, dport=7000) / GENEVE / INNER, (A, B, 17, "geneve", (40000, 80)),
    ),
    "between nodes": (OUTER / make.UDP(sport=1, dport=53) / SECRET, None),
    "from a node to a pod": (ETH / make.IP(src=make.NODE_A, dst=B) / make.UDP(dport=80) / SECRET, None),
    "from a pod to somewhere else": (ETH / make.IP(src=A, dst="1.1.1.1") / make.UDP(dport=53) / SECRET, None),
    "wireguard": (OUTER / make.UDP(sport=51871, dport=51871) / SECRET, None),
    "no tunnel within": (OUTER / make.UDP(sport=1, dport=8472) / make.VXLAN(vni=5) / make.Raw(bytes(60)), None),
}  # fmt: skip


def watch() -> PodWatch:
    ours = frozenset(socket.inet_aton(address) for address in (OURS, "10.244.2.10"))
    return PodWatch(["left"], PodNetworks(NETWORKS, ours, CONTROLS), Machines())


def seen(one: PodWatch) -> list[list[Any]]:
    one.drain()
    rows: list[list[Any]] = one.report()["conversations"]
    one.close()
    return rows


@pytest.mark.usefixtures("netns")
@pytest.mark.parametrize(("frame", "expected"), CASES.values(), ids=CASES)
def test_what_is_between_pods_is_counted_and_nothing_else(frame: Any, expected: tuple[Any, ...] | None) -> None:
    one = watch()
    send(bytes(frame), bytes(frame))
    rows = seen(one)
    if expected is None:
        assert rows == []
        return
    ((source, destination, protocol, device, outgoing, tunnel, count, first, last, *ports),) = rows
    assert (source, destination, protocol, tunnel, tuple(ports)) == expected
    assert (device, outgoing, count) == ("left", False, 2)
    assert first <= last


@pytest.mark.usefixtures("netns")
def test_no_payload_is_ever_handed_over() -> None:
    one = watch()
    send(*[bytes(frame) for frame, expected in CASES.values() if expected])
    one.drain()
    assert sum(ring.taken for ring in one.rings) == sum(1 for _, expected in CASES.values() if expected)
    for ring in one.rings:
        assert ring.memory.find(b"nobody else's") < 0
    one.close()


@pytest.mark.usefixtures("netns")
def test_what_runs_between_test_pods_is_left_to_the_flows() -> None:
    one = watch()
    send(bytes(ETH / make.IP(src=OURS, dst="10.244.2.10") / make.UDP(dport=80) / SECRET))
    send(bytes(ETH / make.IP(src=OURS, dst=B) / make.UDP(sport=9, dport=53) / SECRET))
    assert [row[:3] for row in seen(one)] == [[OURS, B, 17]]


@pytest.mark.usefixtures("netns")
def test_the_control_packet_is_seen_and_is_no_conversation() -> None:
    one = watch()
    send_pod_controls(["left"], CONTROLS)
    one.drain()
    assert one.report() == {"missed": 0, "controls": [("left", 4), ("left", 6)], "conversations": []}
    one.close()


@pytest.mark.usefixtures("netns")
def test_endless_addresses_are_counted_and_take_no_endless_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ciliumwg.agent.capture.pods._MOST_CONVERSATIONS", 10)
    one = watch()
    send(*[bytes(ETH / make.IP(src=f"10.244.7.{n}", dst=B) / make.UDP(dport=80)) for n in range(20)])
    one.drain()
    report = one.report()
    one.close()
    assert (len(report["conversations"]), report["missed"]) == (10, 10)


@settings(deadline=None)
@given(st.binary(max_size=160))
def test_any_bytes_are_a_conversation_or_none(data: bytes) -> None:
    found = conversation(data)
    if found is not None:
        assert ip_address(found[0]).version == ip_address(found[1]).version


@settings(deadline=None)
@given(st.integers(0, 120), st.sampled_from([bytes(frame) for frame, _ in CASES.values()]))
def test_a_frame_cut_anywhere_is_a_conversation_or_none(size: int, frame: bytes) -> None:
    conversation(frame[:size])


@pytest.mark.parametrize("text", ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "x/8", "10.0.0.0/-1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        parse_network(text)


def test_a_filter_has_room_for_sixteen_networks_of_a_family() -> None:
    many = [parse_network(f"10.{n}.0.0/16") for n in range(16)] + [
        parse_network(f"fd{n:02x}::1/128") for n in range(16)
    ]
    assert len(pod_filter(many)) < 4096
    with pytest.raises(ValueError, match="more than 16 pod networks"):
        pod_filter([*many, parse_network("11.0.0.0/8")])
