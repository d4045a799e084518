"""Values of the model as JSON, and back by their types: for what one run stores and another one reads."""

from __future__ import annotations

import base64
import enum
import json
import math
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from json.encoder import encode_basestring_ascii
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pytest_ciliumwg.model.cluster import IPNetwork
from pytest_ciliumwg.model.node_state import Endpoint, Route
from pytest_ciliumwg.model.watch import ControlSeen

T = TypeVar("T")
_READERS: Mapping[Any, Callable[[Any], Any]] = {
    IPv4Address: ip_address,
    IPv6Address: ip_address,
    IPv4Network: ip_network,
    IPv6Network: ip_network,
    IPv4Interface: ip_interface,
    IPv6Interface: ip_interface,
    bytes: base64.b64decode,
    float: float,
}
_UNIONS = (Union, types.UnionType)
_NETWORKS = frozenset[IPNetwork]
_SHARED: Mapping[str, Any] = {"controls": ControlSeen, "endpoints": Endpoint, "networks": _NETWORKS, "routes": Route}
"""What many nodes tell alike, by a name for each kind: it is stored once, and a number stands for it."""
_PLAIN = (str, int, float, type(None))
_AS_JSON: Mapping[type, Callable[[Any], str]] = {
    int: repr,
    bool: {False: "false", True: "true"}.__getitem__,
    float: lambda number: repr(number) if math.isfinite(number) else json.dumps(number),
}


def encoded(value: Any, depth: int = 0) -> Iterator[str]:
    """A value as JSON text, in parts: `{"value": …, "shared": …}`.

    Mappings by anything but text become lists of pairs.

    Args:
        value: The value.
        depth: How many levels are taken apart, so that no more than a part of the value is text at one time.
    """
    writers = _Writers()
    yield '{"value":'
    yield from writers.parts(value, depth)
    shared = (f"{_member(name)}[{','.join(texts)}]" for name, texts in writers.shared.items())
    yield f',"shared":{{{",".join(shared)}}}}}'


class _Writers(dict[type, Callable[[Any], str]]):
    """What makes text of values, by their types; found once, for there are millions."""

    def __init__(self) -> None:
        super().__init__()
        self.shared: dict[str, list[str]] = {name: [] for name in _SHARED}
        """The texts for which numbers stand."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        found = self[kind] = self._writer(kind)
        return found

    def text(self, value: Any) -> str:
        """The text of a value."""
        return self[type(value)](value)

    def parts(self, value: Any, depth: int) -> Iterator[str]:
        """The same in parts."""
        kind: Any = type(value)
        if not depth or issubclass(kind, (*_PLAIN, bytes)):
            yield self.text(value)
        elif is_dataclass(kind):
            yield from self._joined(
                "{", ((_member(of.name), getattr(value, of.name)) for of in fields(kind)), "}", depth
            )
        elif issubclass(kind, Mapping) and _by_text(value):
            yield from self._joined("{", ((_member(key), item) for key, item in value.items()), "}", depth)
        elif issubclass(kind, (Mapping, Sequence, AbstractSet)):
            items = value.items() if isinstance(value, Mapping) else value
            yield from self._joined("[", (("", item) for item in items), "]", depth)
        else:
            yield self.text(value)

    def _joined(self, opening: str, items: Iterable[tuple[str, Any]], closing: str, depth: int) -> Iterator[str]:
        """The text of a mapping's or list's items, each behind what begins it."""
        yield opening
        for number, (begin, item) in enumerate(items):
            yield f",{begin}" if number else begin
            yield from self.parts(item, depth - 1)
        yield closing

    def _writer(self, kind: Any) -> Callable[[Any], str]:
        if issubclass(kind, enum.Enum):
            return lambda value: self.text(value.value)
        if issubclass(kind, str):
            return encode_basestring_ascii
        if issubclass(kind, _PLAIN):
            return _AS_JSON.get(kind, json.dumps)
        if issubclass(kind, bytes):
            return lambda value: f'"{base64.b64encode(value).decode()}"'
        if is_dataclass(kind):
            shared = next((name for name, of in _SHARED.items() if of is kind), "")
            return self._numbered(shared, self._dataclass_writer(kind)) if shared else self._dataclass_writer(kind)
        if issubclass(kind, Mapping):
            return self._mapping
        if issubclass(kind, frozenset):
            return self._set_writer()
        return self._list if issubclass(kind, (list, tuple, AbstractSet)) else _address

    def _dataclass_writer(self, kind: Any) -> Callable[[Any], str]:
        names = [member.name for member in fields(kind)]
        form = f"{{{','.join(f'{_member(name)}%s' for name in names)}}}"
        members = operator.attrgetter(*names)
        if len(names) == 1:
            return lambda value: form % self.text(members(value))
        return lambda value: form % tuple([self[type(item)](item) for item in members(value)])

    def _numbered(self, name: str, write: Callable[[Any], str]) -> Callable[[Any], str]:
        """The number of an object among those of its kind; to compare objects would take longer than their text is."""
        texts, known = self.shared[name], dict[int, tuple[Any, str]]()

        def number(value: Any) -> str:
            found = known.get(id(value))
            if found is None:
                found = known[id(value)] = value, str(len(texts))  # as long as it is kept, no other has its id
                texts.append(write(value))
            return found[1]

        return number

    def _set_writer(self) -> Callable[[frozenset[Any]], str]:
        """What makes text of sets: of the allowed IPs of peers their number."""
        numbers, texts = dict[frozenset[Any], str](), self.shared["networks"]

        def written(value: frozenset[Any]) -> str:
            if not isinstance(next(iter(value), None), (IPv4Network, IPv6Network)):
                return self._list(value)
            if (number := numbers.get(value)) is None:
                number = numbers[value] = str(len(texts))
                texts.append(self._list(value))
            return number

        return written

    def _mapping(self, value: Mapping[Any, Any]) -> str:
        if _by_text(value):
            return f"{{{','.join([f'{_member(key)}{self.text(item)}' for key, item in value.items()])}}}"
        return self._list(value.items())

    def _list(self, value: Iterable[Any]) -> str:
        return f"[{','.join([self[type(item)](item) for item in value])}]"


def _by_text(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in value)


def _member(name: str) -> str:
    return f"{encode_basestring_ascii(name)}:"


@lru_cache(maxsize=1 << 16, typed=True)
def _address(value: Any) -> str:
    """An address or the like: many values have the same one, and its text takes a while."""
    return encode_basestring_ascii(str(value))


_Known = Mapping[Any, Sequence[Any]]
"""Of each kind that is shared, the values for which numbers stand."""


def decode(kind: type[T], raw: Any) -> T:
    """The value of a type that `encoded` made this of; what is missing in it has its default.

    Raises:
        ValueError: it is not of that type.
    """
    try:
        shared = {of: [_decode(of, item, {}) for item in raw["shared"].get(name, ())] for name, of in _SHARED.items()}
        found: T = _decode(kind, raw["value"], shared)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"it is no {kind.__name__}: {error}") from None
    return found


def _decode(kind: Any, raw: Any, shared: _Known) -> Any:
    if type(raw) is int and kind in shared:
        return shared[kind][raw]
    origin, inner = get_origin(kind), get_args(kind)
    if raw is None and (kind is type(None) or (origin in _UNIONS and type(None) in inner)):
        return None
    if kind in _READERS:
        return _READERS[kind](raw)
    if origin in _UNIONS:
        return _decode(next(one for one in inner if one is not type(None)), raw, shared)
    if origin is Literal:
        if raw not in inner:
            raise ValueError(f"{raw!r} is none of {', '.join(map(str, inner))}")
        return raw
    if origin is not None:
        return _collection(origin, inner, raw, shared)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(raw)
    if is_dataclass(kind):
        made: Any = kind
        hints = _hints(made)
        return made(**{name: _decode(hints[name], item, shared) for name, item in raw.items() if name in hints})
    if not isinstance(raw, kind):
        raise TypeError(f"{raw!r} instead of {kind.__name__}")
    return raw


def _collection(origin: Any, inner: tuple[Any, ...], raw: Any, shared: _Known) -> Any:
    if issubclass(origin, Mapping):
        pairs = raw.items() if isinstance(raw, Mapping) else raw
        return {_decode(inner[0], key, shared): _decode(inner[1], item, shared) for key, item in pairs}
    if origin is tuple and not (len(inner) == 2 and inner[1] is ...):
        return tuple(_decode(kind, item, shared) for kind, item in zip(inner, raw, strict=True))
    items = (_decode(inner[0], item, shared) for item in raw)
    if issubclass(origin, AbstractSet):
        return frozenset(items)
    return tuple(items) if issubclass(origin, Sequence) else list(items)


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)
