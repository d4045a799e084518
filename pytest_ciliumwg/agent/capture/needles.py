"""Search a ring's memory for a few short strings at any offset, as fast as the processor compares memory.

libc's `wmemchr` compares a vector of aligned four-byte words at a time, 30 GB/s and more; an expression tests byte
after byte. So of each string one word is looked for, in the memory as it is and in three copies that are shifted by a
byte each: in one of the four it is aligned. Only where the word is, the whole string is compared.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from typing import Any, Iterable, NamedTuple, Sequence

_WORD = 4
_SHIFTS = range(_WORD)
_MOST_NEEDLES = 8
"""With more words than these, one expression for all of them is faster."""
_SMALL = 1 << 14
"""In fewer bytes than these too."""
NOWHERE = sys.maxsize


class _Needle(NamedTuple):
    """Strings of one length that have the same word at the same place."""

    word: int
    at: int
    size: int
    strings: frozenset[bytes]


class Needles:
    """Strings of four bytes or more, and a place to look for them; for one thread.

    `look_at` says where; then `after` gives every place of a string there, in order.
    """

    def __init__(self, strings: Iterable[bytes]) -> None:
        self.strings = frozenset(strings)
        self.pattern = pattern_of(self.strings)
        needles = _needles(self.strings)
        self._lanes = [(shift, needle) for shift in _SHIFTS for needle in needles]
        self._few = _LIBC is not None and len(needles) <= _MOST_NEEDLES
        self._by_words = False
        self._buffer: Any = None
        self._room = 0
        self._next: list[int] = []

    def look_at(self, memory: mmap.mmap, start: int, end: int) -> None:
        """Look for strings that lie wholly in this part of the memory from now on."""
        self._memory, self._start, self._end = memory, start, end
        self._by_words = self._few and end - start >= _SMALL
        if not self._by_words:
            self._next = [start - 1]
            return
        first = ctypes.c_char.from_buffer(memory)
        self._origin = ctypes.addressof(first) + (start & -_WORD)
        del first  # while it lives, the memory cannot be closed
        self._shift = 0
        self._base = self._origin
        self._size = end - (start & -_WORD)
        if self._size > self._room:
            self._room = self._size
            self._buffer = (ctypes.c_uint32 * (self._room // _WORD + 1))()
        self._next = [self._seek(shift, needle, start) for shift, needle in self._lanes]

    def after(self, at: int) -> int:
        """Where the first string begins at or after a place; NOWHERE if there is none."""
        if not self._by_words:
            return self._by_pattern(at)
        for number, found in enumerate(self._next):
            if found < at:
                self._next[number] = self._seek(*self._lanes[number], at)
        return min(self._next)

    def within(self, start: int, end: int) -> bool:
        """Whether a string lies wholly between two places."""
        at = self.after(start)
        while at < end:
            # The end of a frame may cut what is a string only together with the bytes behind it.
            if self.pattern.match(self._memory, at, end) is not None:
                return True
            at = self.after(at + 1)
        return False

    def _by_pattern(self, at: int) -> int:
        if self._next[0] < at:
            match = self.pattern.search(self._memory, at, self._end)
            self._next = [NOWHERE if match is None else match.start()]
        return self._next[0]

    def _seek(self, shift: int, needle: _Needle, at: int) -> int:
        """Where the first of a needle's strings begins at or after a place, among those that this shift aligns."""
        origin = (self._start & -_WORD) + shift
        words = (self._size - shift) // _WORD
        index = max(0, (at + needle.at - origin + _WORD - 1) // _WORD)
        if index < words and shift != self._shift:
            self._shift_by(shift)
        while index < words:
            found = _wmemchr(self._base + index * _WORD, needle.word, words - index)
            if found is None:
                return NOWHERE
            index = (found - self._base) // _WORD
            begin = int(origin + index * _WORD - needle.at)
            if at <= begin <= self._end - needle.size and self._memory[begin : begin + needle.size] in needle.strings:
                return begin
            index += 1
        return NOWHERE

    def _shift_by(self, shift: int) -> None:
        """Have the bytes that begin after so many where words are aligned."""
        self._shift = shift
        self._base = self._origin
        if shift:
            self._base = ctypes.addressof(self._buffer)
            _memmove(self._base, self._origin + shift, self._size - shift)


def pattern_of(strings: Iterable[bytes]) -> Any:
    """One expression for all strings.

    Those of a length mostly start alike; with the common part in front the search skips nearly everything.
    """
    by_size: dict[int, list[bytes]] = {}
    for string in sorted(strings):
        by_size.setdefault(len(string), []).append(string)
    return re.compile(b"|".join(_alternatives(alike) for _, alike in sorted(by_size.items())), re.DOTALL)


def _alternatives(strings: Sequence[bytes]) -> bytes:
    """An expression for strings of one length, in their order."""
    first, last = strings[0], strings[-1]
    shared = next((place for place in range(len(first)) if first[place] != last[place]), len(first))
    rest = b"|".join(re.escape(string[shared:]) for string in strings)
    return re.escape(first[:shared]) + b"(?:" + rest + b")"


def _needles(strings: Iterable[bytes]) -> list[_Needle]:
    """The words to look for: of strings that begin alike the first word, else of each its most unusual one."""
    found: dict[tuple[int, int, int], set[bytes]] = {}
    every = sorted(strings)
    heads = [string[:_WORD] for string in every]
    for string, head in zip(every, heads):
        at = 0 if heads.count(head) > 1 else _most_unusual(string)
        word = int.from_bytes(string[at : at + _WORD], sys.byteorder)
        found.setdefault((word, at, len(string)), set()).add(string)
    return [_Needle(*key, frozenset(alike)) for key, alike in found.items()]


def _most_unusual(string: bytes) -> int:
    """Where a word with the most different bytes begins: zeros are everywhere."""
    places = range(len(string) - _WORD + 1)
    return max(places, key=lambda at: len(set(string[at : at + _WORD]) - {0, 0xFF}))


def _libc() -> Any:
    """The C library, where its wide characters are words of four bytes; None where not."""
    library = ctypes.PyDLL(None)
    if ctypes.sizeof(ctypes.c_wchar) != _WORD or not hasattr(library, "wmemchr"):
        return None
    library.wmemchr.restype = library.memmove.restype = ctypes.c_void_p
    library.wmemchr.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_size_t]
    library.memmove.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    return library


_LIBC = _libc()
_wmemchr: Any
_memmove: Any
_wmemchr, _memmove = getattr(_LIBC, "wmemchr", None), getattr(_LIBC, "memmove", None)
