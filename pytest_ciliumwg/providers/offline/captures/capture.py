"""One capture, as its file tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

ETHERNET = 1
LONGEST = 1 << 20
"""Bytes of a frame: longer than any device carries, also with segments merged."""

Frames = Iterator[tuple[int, int, float]]
"""Where a frame begins in the chunk, how much of it is there, and when it passed."""
Take = Callable[[bytes, Frames], None]
"""Takes the frames of one chunk."""


@dataclass(slots=True)
class Interface:
    """One interface of a capture, as its file tells of it."""

    link_type: int
    snaplen: int
    name: str = ""
    """Empty where the file does not tell it, as pcap does not."""
    drops: int | None = None
    """None where the file does not tell it."""
    received: int | None = None
    filtered: bool = False
    """Whether the file says that it was taken with a filter."""


@dataclass(slots=True)
class Capture:
    """One file, once it was read."""

    name: str
    interfaces: list[Interface] = field(default_factory=list)
    unfiltered: bool = False
    """Whether it is known to be taken without a filter, and in both directions: by `pytest-ciliumwg collect`."""
    problem: str = ""
    """What is wrong with it, in a clause; empty where nothing is."""
