"""Read text and JSON of other programs; whatever is not as expected is an `ObservationError` that says where."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork

_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,16}|[0-9]{1,20}")


class Value:
    """One value of a decoded JSON document, which knows its document and its place in it for messages."""

    __slots__ = ("_document", "_key", "_parent", "_raw")

    def __init__(self, raw: Any, document: str, parent: Value | None = None, key: str | int = "") -> None:
        self._raw = raw
        self._document = document
        self._parent = parent
        self._key = key

    @property
    def place(self) -> str:
        """Where it is in its document, such as `.peers[3].endpoint`; put together when it is asked for."""
        if self._parent is None:
            return ""
        step = f"[{self._key}]" if isinstance(self._key, int) else f".{self._key}"
        return f"{self._parent.place}{step}"

    @property
    def where(self) -> str:
        """The document and the place in it."""
        return f"{self._document} at {self.place}"

    def wrong(self, problem: str) -> ObservationError:
        """The error that says what is wrong with this value; it does not quote it, since it may be long or secret."""
        place = f" at {self.place}" if self.place else ""
        return ObservationError(f"{self._document} {problem}{place}")

    def __getitem__(self, key: str) -> Value:
        value = self.get(key)
        if value is None:
            message = f"has no {key!r}"
            raise self.wrong(message)
        return value

    def get(self, key: str) -> Value | None:
        """The member of that name of an object; None when it is missing or null."""
        raw = self.mapping().get(key)
        return None if raw is None else Value(raw, self._document, self, key)

    def mapping(self) -> Mapping[str, Any]:
        """The undecoded members of an object."""
        if not isinstance(self._raw, (dict, Mapping)):  # to ask for the first alone is a tenth of the time
            message = "holds no object"
            raise self.wrong(message)
        return self._raw

    def items(self) -> Iterator[Value]:
        """The elements of a list."""
        if not isinstance(self._raw, list | tuple):
            message = "holds no list"
            raise self.wrong(message)
        for index, raw in enumerate(self._raw):
            yield Value(raw, self._document, self, index)

    def each(self, key: str) -> Iterator[Value]:
        """The elements of the list of that name; nothing when it is missing or null, as Go writes empty lists."""
        value = self.get(key)
        return iter(()) if value is None else value.items()

    def text(self) -> str:
        """A string that is not empty."""
        if not isinstance(self._raw, str) or not self._raw:
            message = "holds no text"
            raise self.wrong(message)
        return self._raw

    def integer(self) -> int:
        """A number, or text that spells one, decimal or hexadecimal."""
        if isinstance(self._raw, int) and not isinstance(self._raw, bool):
            return self._raw
        if isinstance(self._raw, str):
            return number(self._raw, self.where)
        message = "holds no whole number"
        raise self.wrong(message)

    def count(self, key: str) -> int:
        """The number of that name; 0 when it is missing or null, as Go leaves out what is zero."""
        raw = self.mapping().get(key)
        return raw if type(raw) is int else 0 if raw is None else self[key].integer()

    def boolean(self) -> bool:
        """True or false."""
        if not isinstance(self._raw, bool):
            message = "holds neither true nor false"
            raise self.wrong(message)
        return self._raw

    def address(self) -> IPAddress:
        """An IP address."""
        try:
            return _address(self.text())
        except ValueError:
            return address(self.text(), self.where)

    def network(self) -> IPNetwork:
        """An IP network; a bare address is a network of one."""
        try:
            return _network(self.text())
        except ValueError:
            return network(self.text(), self.where)

    def networks(self, key: str) -> frozenset[IPNetwork]:
        """The IP networks in the list of that name; nothing when it is missing or null."""
        raw = self.mapping().get(key) or ()
        try:
            return _networks(frozenset(raw))
        except (TypeError, ValueError, AttributeError):
            return frozenset(entry.network() for entry in self.each(key))  # which says what is wrong, and where


def decode(text: str, document: str) -> Value:
    """Decode JSON.

    Args:
        text: The document.
        document: How messages call it, such as "the output of `ip -j rule show`".

    Raises:
        ObservationError: it is no JSON, or cut off.
    """
    try:
        return Value(json.loads(text), document)
    except (ValueError, RecursionError) as error:
        problem = "is empty" if not text.strip() else "is not JSON, or cut off"
        message = f"{document} {problem}"
        raise ObservationError(message) from error


def address(text: str, place: str) -> IPAddress:
    """Read an IP address out of a place that messages name."""
    try:
        return _address(text)
    except ValueError as error:
        message = f"{place} holds {text!r}, which is no IP address"
        raise ObservationError(message) from error


def network(text: str, place: str) -> IPNetwork:
    """Read an IP network out of a place that messages name."""
    try:
        return _network(text)
    except ValueError as error:
        message = f"{place} holds {text!r}, which is no IP network"
        raise ObservationError(message) from error


def networks(texts: Iterable[str], place: str) -> frozenset[IPNetwork]:
    """Read IP networks out of a place that messages name."""
    known = frozenset(texts)
    try:
        return _networks(known)
    except ValueError:
        return frozenset(network(text, place) for text in known)  # which says what is wrong with which


_MANY = 65536
# Of many nodes each tells the same of its peers: it is read once, and kept once.
_address = lru_cache(maxsize=_MANY)(ipaddress.ip_address)
_network = lru_cache(maxsize=_MANY)(ipaddress.ip_network)


@lru_cache(maxsize=_MANY)
def _networks(texts: frozenset[str]) -> frozenset[IPNetwork]:
    return frozenset(map(_network, texts))


def number(text: str, place: str) -> int:
    """Read a decimal or `0x` number out of a place that messages name."""
    if _NUMBER.fullmatch(text) is None:
        message = f"{place} holds {text!r}, which is no number"
        raise ObservationError(message)
    return int(text, 16) if text.startswith("0x") else int(text)
