"""The passages of one watch in little memory: with 200 nodes, each with each other, a run has a million."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import ItemsView, Iterator, Mapping

from pytest_ciliumwg.model.watch import Passage

_UNCOUNTED = -1

Key = tuple[int, bool]
"""A flow, and whether it went in."""


class Passages(Mapping[Key, Passage]):
    """Passages by flow and direction, as an `InsideReport` has them: numbers in arrays, a fifth of as many objects."""

    __slots__ = ("_counts", "_keys", "_times")

    def __init__(self, found: Mapping[Key, Passage]) -> None:
        self._keys, self._counts, self._times = array("q"), array("q"), array("d")
        for (flow, outgoing), made in sorted(found.items(), key=lambda item: item[0]):
            self._keys.append(flow << 1 | outgoing)
            numbers = _UNCOUNTED if made.numbers is None else made.numbers
            self._counts.extend((made.frames, made.bytes, made.short, numbers))
            self._times.extend((made.first_at, made.last_at))

    def __getitem__(self, key: Key) -> Passage:
        at = self._index(key)
        if at is None:
            raise KeyError(key)
        return self.at(at)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and self._index(key) is not None

    def items(self) -> ItemsView[Key, Passage]:
        """All of them in their order."""
        return _Items(self)

    def _index(self, key: Key) -> int | None:
        wanted = key[0] << 1 | key[1]
        at = bisect_left(self._keys, wanted)
        return at if at < len(self._keys) and self._keys[at] == wanted else None

    def at(self, index: int) -> Passage:
        """The passage at a place of their order."""
        frames, size, short, numbers = self._counts[4 * index : 4 * index + 4]
        first, last = self._times[2 * index : 2 * index + 2]
        return Passage(
            frames=frames,
            bytes=size,
            short=short,
            first_at=first,
            last_at=last,
            numbers=None if numbers == _UNCOUNTED else numbers,
        )

    def __iter__(self) -> Iterator[Key]:
        return ((key >> 1, bool(key & 1)) for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)})"


class _Items(ItemsView[Key, Passage]):
    """All passages, one after the other, without looking each of them up."""

    def __init__(self, passages: Passages) -> None:
        super().__init__(passages)
        self._passages = passages

    def __iter__(self) -> Iterator[tuple[Key, Passage]]:
        return ((key, self._passages.at(index)) for index, key in enumerate(self._passages))
