"""Read a long text once: a node tells the same of its routes whenever it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """What was made of texts, known by their digests; may be used by several threads."""

    def __init__(self, most: int) -> None:
        """Remember so many results at most."""
        self._most = most
        self._made: dict[Hashable, T] = {}

    def of(self, text: str, kind: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes of a text, or has made of it; `kind` is what it depends on besides."""
        key = blake2b(text.encode("utf-8", "surrogatepass")).digest(), kind
        try:
            return self._made[key]
        except KeyError:
            made = make()
        if len(self._made) >= self._most:
            self._made.clear()
        self._made[key] = made
        return made
