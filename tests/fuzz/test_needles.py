"""The search over a ring's memory against the plainest one: it finds every string, wherever it lies, and no other."""

from __future__ import annotations

import mmap
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ciliumwg.agent.capture import needles as needles_module
from pytest_ciliumwg.agent.capture.frames import FlowIndex
from pytest_ciliumwg.agent.capture.needles import NOWHERE, Needles, pattern_of
from tests.agent import frames_made as made

from .test_frames import QUICK, SEEDS, mutated

OWN = (made.packed(made.A4), made.packed(made.A6))
FEW = (*made.CANARIES.prefixes, *OWN)
MANY = (*made.CANARIES.prefixes, *(bytes((10, 244, node, 7)) for node in range(20)))


@pytest.fixture(autouse=True)
def _words_in_small_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needles_module, "_SMALL", 1)


def memory_of(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, max(1, len(data)))
    memory.write(data)
    return memory


def every_place(needles: Needles, start: int, end: int) -> list[int]:
    at, found = needles.after(start), []
    while at != NOWHERE:
        found.append(at)
        at = needles.after(at + 1)
    return found


def plainly(strings: tuple[bytes, ...], data: bytes, start: int, end: int) -> list[int]:
    return [at for at in range(start, end) if data.startswith(strings, at) and fits(strings, data, at, end)]


def fits(strings: tuple[bytes, ...], data: bytes, at: int, end: int) -> bool:
    return any(data.startswith(string, at) and at + len(string) <= end for string in strings)


@st.composite
def haystacks(draw: st.DrawFn) -> tuple[tuple[bytes, ...], bytes, int, int]:
    """Strings, bytes among which are some of them, whole, cut and over each other, and a part of these bytes."""
    strings = draw(st.sampled_from([FEW, MANY]))
    dice = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - frames, not keys
    data = bytearray(dice.randbytes(draw(st.integers(0, 600))))
    for _ in range(draw(st.integers(0, 8))):
        string = dice.choice(strings)[: dice.choice((3, 4, 7, 8, 16))]
        at = dice.randrange(len(data) + 1)
        data[at : at + len(string)] = string
    start = draw(st.integers(0, len(data)))
    return strings, bytes(data), start, draw(st.integers(start, len(data)))


@QUICK
@given(haystacks())
def test_every_string_is_found_where_it_is(haystack: tuple[tuple[bytes, ...], bytes, int, int]) -> None:
    strings, data, start, end = haystack
    needles = Needles(strings)
    with memory_of(data) as memory:
        needles.look_at(memory, start, end)
        found = plainly(strings, data, start, end)
        assert every_place(needles, start, end) == found
        needles.look_at(memory, start, end)
        part = sorted((start + (end - start) // 3, end - (end - start) // 4))
        inside = any(part[0] <= at and fits(strings, data, at, part[1]) for at in found)
        assert needles.within(*part) == inside


@pytest.mark.parametrize("strings", [FEW, MANY], ids=["by-words", "by-expression"])
def test_a_string_at_every_offset_and_both_edges(strings: tuple[bytes, ...]) -> None:
    size = 200
    needles = Needles(strings)
    for string in strings[:6]:
        for at in range(size - len(string) + 1):
            data = bytearray(size)
            data[at : at + len(string)] = string
            with memory_of(bytes(data)) as memory:
                needles.look_at(memory, at, at + len(string))
                assert needles.after(at) == at
                needles.look_at(memory, 0, size)
                assert needles.after(0) == at
                needles.look_at(memory, 0, at + len(string) - 1)
                assert needles.after(0) == NOWHERE


@QUICK
@given(mutated(), st.integers(0, 64))
def test_a_frame_of_a_node_s_own_is_found_at_every_depth(frame: bytes, at: int) -> None:
    """With its own pod's addresses alone a watch looks at every frame that holds one of them, or a canary."""
    data = bytes(at) + frame + bytes(7)
    ours = FlowIndex(
        made.CANARIES, [], frozenset(map(made.packed, (made.A4, made.B4, made.A6, made.B6))), frozenset(OWN)
    )
    needles = Needles(ours.strings)
    with memory_of(data) as memory:
        needles.look_at(memory, 0, len(data))
        every = pattern_of(FlowIndex(made.CANARIES, [], frozenset(OWN)).strings)
        assert needles.within(at, at + len(frame)) == (every.search(frame) is not None)


def test_nothing_holds_the_memory_when_it_is_closed() -> None:
    needles = Needles(FEW)
    memory = memory_of(SEEDS[0])
    needles.look_at(memory, 0, len(SEEDS[0]))
    assert needles.within(0, len(SEEDS[0]))
    memory.close()
