"""The description of a frame is evidence for people: it must say how the frame was wrapped."""

from __future__ import annotations

import random

import pytest

from pytest_ciliumwg.agent.capture.layers import describe

from . import frames_made as make
from .test_frames import INNER, OUTER, TCP4, UDP4, WITH_CANARY

EXPECTED = {
    "eth/ipv4/udp:20003": UDP4,
    "eth/ipv4/tcp:20002": TCP4,
    "eth/vlan:7/ipv4/udp:20003": make.Dot1Q(vlan=7) / UDP4,
    "eth/ipv4/udp:8472/vxlan/eth/ipv4/udp:20003": WITH_CANARY["vxlan"],
    "eth/ipv4/udp:6081/geneve/eth/ipv4/udp:20003": WITH_CANARY["geneve with an option"],
    "eth/ipv4/udp:51871": OUTER / make.UDP(sport=51871, dport=51871) / INNER,
    "eth/ipv6/hopopts/dstopts/tcp:9": make.IPv6() / make.IPv6ExtHdrHopByHop() / make.IPv6ExtHdrDestOpt()
    / make.TCP(dport=9),
    "eth/ipv4 fragment+8": make.IP(frag=1) / make.Raw(b"x" * 20),
    "eth/0x88b5": None,
}  # fmt: skip


@pytest.mark.parametrize("text", EXPECTED)
def test_layers(text: str) -> None:
    packet = EXPECTED[text]
    frame = make.wire(packet) if packet is not None else b"\xff" * 6 + b"\2" * 6 + b"\x88\xb5" + b"x" * 40
    assert describe(frame) == text


def test_a_tag_that_the_kernel_took_out_is_told() -> None:
    assert describe(make.wire(UDP4), vlan=0x6007) == "eth/vlan:7/ipv4/udp:20003"


def test_any_bytes_have_some_description() -> None:
    dice = random.Random(3)  # noqa: S311
    for _ in range(2000):
        assert describe(dice.randbytes(dice.randrange(0, 120))).startswith("eth")
