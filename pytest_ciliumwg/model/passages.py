"""The passages of one watch in little memory: with 200 nodes, each with each other, a run has a million."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping

from pytest_ciliumwg.model.watch import Passage

_UNCOUNTED = -1


class Passages(Mapping[tuple[int, bool], Passage]):
    """Passages by flow and direction, as an `InsideReport` has them: numbers in arrays, a fifth of as many objects."""

    __slots__ = ("_counts", "_keys", "_times")

    def __init__(self, found: Mapping[tuple[int, bool], Passage]) -> None:
        self._keys, self._counts, self._times = array("q"), array("q"), array("d")
        for (flow, outgoing), made in sorted(found.items(), key=lambda item: item[0]):
            self._keys.append(flow << 1 | outgoing)
            numbers = _UNCOUNTED if made.numbers is None else made.numbers
            self._counts.extend((made.frames, made.bytes, made.short, numbers))
            self._times.extend((made.first_at, made.last_at))

    def __getitem__(self, key: tuple[int, bool]) -> Passage:
        wanted = key[0] << 1 | key[1]
        at = bisect_left(self._keys, wanted)
        if at == len(self._keys) or self._keys[at] != wanted:
            raise KeyError(key)
        frames, size, short, numbers = self._counts[4 * at : 4 * at + 4]
        first, last = self._times[2 * at : 2 * at + 2]
        return Passage(
            frames=frames,
            bytes=size,
            short=short,
            first_at=first,
            last_at=last,
            numbers=None if numbers == _UNCOUNTED else numbers,
        )

    def __iter__(self) -> Iterator[tuple[int, bool]]:
        return ((key >> 1, bool(key & 1)) for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)})"
