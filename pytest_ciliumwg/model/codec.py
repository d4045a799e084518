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
_MANY = 1 << 17
_TOLD_BY_MANY = (ControlSeen, Endpoint, Route)
"""Of what these are many nodes have the same one: it is made text once."""
_NETWORKS = (IPv4Network, IPv6Network)
_PLAIN = (str, int, float, type(None))
_AS_JSON: Mapping[type, Callable[[Any], str]] = {
    int: repr,
    bool: {False: "false", True: "true"}.__getitem__,
    float: lambda number: repr(number) if math.isfinite(number) else json.dumps(number),
}


def encoded(value: Any, depth: int = 0) -> Iterator[str]:
    """A value as JSON text, in parts; mappings by anything but text become lists of pairs.

    Args:
        value: The value.
        depth: How many levels are taken apart, so that no more than a part of the value is text at one time.
    """
    kind: Any = type(value)
    if depth and is_dataclass(kind):
        yield from _joined("{", ((_member(item.name), getattr(value, item.name)) for item in fields(kind)), "}", depth)
    elif depth and isinstance(value, Mapping) and _by_text(value):
        yield from _joined("{", ((_member(key), item) for key, item in value.items()), "}", depth)
    elif depth and not isinstance(value, (*_PLAIN, bytes)) and issubclass(kind, (Mapping, Sequence, AbstractSet)):
        items = value.items() if isinstance(value, Mapping) else value
        yield from _joined("[", (("", item) for item in items), "]", depth)
    else:
        yield _text(value)


def _joined(opening: str, items: Iterable[tuple[str, Any]], closing: str, depth: int) -> Iterator[str]:
    """The text of a mapping's or list's items, each behind what begins it."""
    yield opening
    for number, (begin, item) in enumerate(items):
        yield f",{begin}" if number else begin
        yield from encoded(item, depth - 1)
    yield closing


class _Writers(dict[type, Callable[[Any], str]]):
    """What makes text of values, by their types; found once, for there are millions."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        found = self[kind] = _writer(kind)
        return found


_WRITERS = _Writers()


def _text(value: Any) -> str:
    return _WRITERS[type(value)](value)


def _writer(kind: Any) -> Callable[[Any], str]:
    if issubclass(kind, enum.Enum):
        return lambda value: _text(value.value)
    if issubclass(kind, str):
        return encode_basestring_ascii
    if issubclass(kind, _PLAIN):
        return _AS_JSON.get(kind, json.dumps)
    if issubclass(kind, bytes):
        return lambda value: f'"{base64.b64encode(value).decode()}"'
    if is_dataclass(kind):
        return _once(_dataclass_writer(kind)) if kind in _TOLD_BY_MANY else _dataclass_writer(kind)
    if issubclass(kind, Mapping):
        return _mapping
    if issubclass(kind, frozenset):
        return _set
    return _list if issubclass(kind, (list, tuple, AbstractSet)) else _address


def _dataclass_writer(kind: Any) -> Callable[[Any], str]:
    names = [member.name for member in fields(kind)]
    form = f"{{{','.join(f'{_member(name)}%s' for name in names)}}}"
    members = operator.attrgetter(*names)
    if len(names) == 1:
        return lambda value: form % _text(members(value))
    return lambda value: form % tuple([_WRITERS[type(item)](item) for item in members(value)])


def _once(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """The same, but that of one and the same object text is made once; to compare objects would take longer."""
    known: dict[int, tuple[Any, str]] = {}

    def once(value: Any) -> str:
        found = known.get(id(value))
        if found is None:
            if len(known) >= _MANY:
                known.clear()
            found = known[id(value)] = value, write(value)  # as long as it is kept, no other has its id
        return found[1]

    return once


def _mapping(value: Mapping[Any, Any]) -> str:
    if _by_text(value):
        return f"{{{','.join([f'{_member(key)}{_text(item)}' for key, item in value.items()])}}}"
    return _list(value.items())


def _list(value: Iterable[Any]) -> str:
    return f"[{','.join([_WRITERS[type(item)](item) for item in value])}]"


def _set(value: frozenset[Any]) -> str:
    """A set; the allowed IPs of a peer, of which all nodes tell, are made text once."""
    return _networks(value) if isinstance(next(iter(value), None), _NETWORKS) else _list(value)


def _by_text(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in value)


def _member(name: str) -> str:
    return f"{encode_basestring_ascii(name)}:"


_networks = lru_cache(maxsize=_MANY)(_list)


@lru_cache(maxsize=_MANY, typed=True)
def _address(value: Any) -> str:
    """An address or the like: many values have the same one, and its text takes a while."""
    return encode_basestring_ascii(str(value))


def decode(kind: type[T], raw: Any) -> T:
    """The value of a type that `encoded` made this of; what is missing in it has its default.

    Raises:
        ValueError: it is not of that type.
    """
    try:
        found: T = _decode(kind, raw)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no {kind.__name__}: {error}") from None
    return found


def _decode(kind: Any, raw: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if raw is None and (kind is type(None) or (origin in _UNIONS and type(None) in inner)):
        return None
    if kind in _READERS:
        return _READERS[kind](raw)
    if origin in _UNIONS:
        return _decode(next(one for one in inner if one is not type(None)), raw)
    if origin is Literal:
        if raw not in inner:
            raise ValueError(f"{raw!r} is none of {', '.join(map(str, inner))}")
        return raw
    if origin is not None:
        return _collection(origin, inner, raw)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(raw)
    if is_dataclass(kind):
        made: Any = kind
        hints = _hints(made)
        return made(**{name: _decode(hints[name], item) for name, item in raw.items() if name in hints})
    if not isinstance(raw, kind):
        raise TypeError(f"{raw!r} instead of {kind.__name__}")
    return raw


def _collection(origin: Any, inner: tuple[Any, ...], raw: Any) -> Any:
    if issubclass(origin, Mapping):
        pairs = raw.items() if isinstance(raw, Mapping) else raw
        return {_decode(inner[0], key): _decode(inner[1], item) for key, item in pairs}
    if origin is tuple and not (len(inner) == 2 and inner[1] is ...):
        return tuple(_decode(kind, item) for kind, item in zip(inner, raw, strict=True))
    items = (_decode(inner[0], item) for item in raw)
    if issubclass(origin, AbstractSet):
        return frozenset(items)
    return tuple(items) if issubclass(origin, Sequence) else list(items)


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)
