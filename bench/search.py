"""How fast memory is searched for canaries and addresses, beside reading it and beside one expression.

`python -m bench search`. The memory holds random bytes, as ciphertext is.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from ipaddress import ip_address

from bench.results import Result, Row, interleaved
from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.needles import Needles

ROUNDS, SIZE, SPAN = 7, 64 << 20, 1 << 18


def main() -> Result:
    """Search for what a dual-stack node's watch looks for."""
    memory = mmap.mmap(-1, SIZE)
    memory.write(os.urandom(SIZE))
    own = [ip_address(address).packed for address in ("10.244.1.71", "fd00:10:244:1::71")]
    needles = Needles([*canary.Canaries.of(b"of the benchmark").prefixes, *own])
    places = range(0, SIZE, SPAN)

    def speed(look: Callable[[int], object], part: int = 1) -> float:
        began = time.thread_time()
        for place in places[: len(places) // part]:
            look(place)
        return SIZE / part / (time.thread_time() - began) / 1e9

    values = interleaved(
        ROUNDS,
        {
            "search": lambda: speed(lambda place: needles.look_at(memory, place, place + SPAN)),
            "one expression": lambda: speed(lambda place: needles.pattern.search(memory, place, place + SPAN), 8),
            "reading (a copy)": lambda: speed(lambda place: memory[place : place + SPAN]),
        },
    )
    memory.close()
    return Result("search", [Row(name, speeds, "GB/s") for name, speeds in values.items()])
