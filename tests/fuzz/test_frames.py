"""The agent on arbitrary and on damaged frames: nothing is made up, nothing crashes, no walk leaves its block."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.frames import UNKNOWN_FLOW
from pytest_ciliumwg.agent.capture.layers import describe
from pytest_ciliumwg.agent.capture.needles import pattern_of
from pytest_ciliumwg.agent.capture.ring import Block, Ring
from pytest_ciliumwg.agent.capture.wireguard import _message
from tests.agent import frames_made as made

QUICK = settings(max_examples=300, deadline=2000, database=None, suppress_health_check=list(HealthCheck))
ETHERNET = made.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
OUTER = ETHERNET / made.IP(src=made.NODE_A, dst=made.NODE_B)
INNER = made.IP(src=made.A4, dst=made.B4) / made.UDP(sport=40000, dport=20003) / made.payload(made.UDP_FLOW, 64)
INNER6 = made.IPv6(src=made.A6, dst=made.B6) / made.TCP(sport=40000, dport=20005) / made.payload(made.TCP6_FLOW, 64)
SEEDS = [
    bytes(frame)
    for frame in (
        ETHERNET / INNER,
        ETHERNET / INNER6,
        ETHERNET / made.Dot1Q(vlan=7) / INNER,
        OUTER / made.UDP(dport=8472) / made.VXLAN(vni=7) / ETHERNET / INNER,
        OUTER / made.UDP(dport=6081) / made.GENEVE(vni=7, proto=0x6558) / ETHERNET / INNER,
        ETHERNET / made.IPv6(src=made.A6, dst=made.B6) / made.IPv6ExtHdrDestOpt() / made.UDP(dport=20003),
        OUTER / made.UDP(sport=51871, dport=51871) / made.Raw(b"\4\0\0\0" + bytes(60)),
    )
]
FLOWS = {made.ICMP_FLOW, made.TCP_FLOW, made.UDP_FLOW, made.ICMP6_FLOW, made.TCP6_FLOW, UNKNOWN_FLOW}


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real frame with some bytes changed, and maybe cut off or lengthened."""
    frame = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(frame)))
    return bytes(frame[:cut]) + draw(st.binary(max_size=20)) if draw(st.booleans()) else bytes(frame)


@QUICK
@given(st.one_of(mutated(), st.binary(max_size=200)))
def test_what_is_found_was_there(frame: bytes) -> None:
    index = made.index()
    hit = index.find(frame)
    if hit is None:
        return
    assert hit.flow in FLOWS
    assert hit.mark in (canary.REQUEST, canary.REPLY, canary.CONTROL)
    # The search over whole blocks has to lead to every frame in which the walk finds something.
    assert pattern_of(index.strings).search(frame) is not None


@QUICK
@given(mutated(), st.integers(0, 300))
def test_a_whole_canary_is_always_found(frame: bytes, at: int) -> None:
    where = min(at, len(frame))
    token = made.token(made.UDP_FLOW)
    hit = made.index().find(frame[:where] + token + frame[where:])
    assert hit is not None


@QUICK
@given(st.one_of(mutated(), st.binary(max_size=200)), st.one_of(st.none(), st.integers(0, 65535)))
def test_every_frame_can_be_described(frame: bytes, vlan: int | None) -> None:
    words = describe(frame, vlan)
    assert words.startswith("eth") or frame.startswith(bytes(12))
    assert len(words) < 600


@QUICK
@given(st.one_of(mutated(), st.binary(max_size=200)))
def test_messages_are_counted_or_not(frame: bytes) -> None:
    found = _message(frame, False, 51871)
    assert found is None or found[0].kind in (0, 1, 2, 3, 4)


@QUICK
@given(st.binary(max_size=2048), st.integers(0, 2**32 - 1), st.integers(0, 2048), st.integers(0, 2048))
def test_no_walk_leaves_its_block(memory: bytes, count: int, first: int, end: int) -> None:
    ring = object.__new__(Ring)
    ring.memory = bytearray(memory)  # type: ignore[assignment]
    end = min(end, len(memory))
    block = Block(count, first, end)
    walked = list(ring.frames(block))
    assert len(walked) <= len(memory) + 1
    assert all(frame.end <= end for frame in walked)
    frame_at, at, stepped = ring.walk(block), first, []
    while (frame := frame_at(at)) is not None:
        stepped.append(frame)
        at = frame.end
    assert all(frame.end <= end for frame in stepped)
