"""Values of the model as JSON, and back by their types: for what one run stores and another one reads."""

from __future__ import annotations

import base64
import enum
import json
import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from itertools import chain, islice
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

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
_BATCH = 16


def encoded(value: Any, depth: int = 0) -> Iterator[str]:
    """A value as JSON text, in parts; mappings by anything but text become lists of pairs.

    Args:
        value: The value.
        depth: How many levels are taken apart, so that no more than a part of the value is text at one time.
    """
    value = _plain(value)
    if depth == 0 or not isinstance(value, (dict, list)):
        yield _ENCODER.encode(value)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield opening
    parts = ([_ENCODER.encode(batch)[1:-1]] for batch in _batches(value)) if depth == 1 else _items(value, depth - 1)
    for number, part in enumerate(parts):
        yield "," if number else ""
        yield from part
    yield closing


def _items(value: dict[str, Any] | list[Any], depth: int) -> Iterator[Iterator[str]]:
    """The text of each item of a mapping or list."""
    if isinstance(value, list):
        yield from (encoded(item, depth) for item in value)
    else:
        yield from (chain([f"{_ENCODER.encode(name)}:"], encoded(item, depth)) for name, item in value.items())


def _batches(value: dict[str, Any] | list[Any]) -> Iterator[dict[str, Any] | list[Any]]:
    """The items a few at a time: to make text of one at a time takes twice as long where each is small."""
    items = iter(value.items() if isinstance(value, dict) else value)
    while batch := list(islice(items, _BATCH)):
        yield dict(batch) if isinstance(value, dict) else batch


def _plain(value: Any) -> Any:
    """What JSON has for a value, whose parts may still be values of the model."""
    if value is None or isinstance(value, (str, int, float)):
        return value.value if isinstance(value, enum.Enum) else value
    kind: Any = type(value)
    return _part_of(kind)(value)


@cache
def _part_of(kind: Any) -> Callable[[Any], Any]:
    """What makes `_plain` of values of a type; found once, for there are millions."""
    if issubclass(kind, enum.Enum):
        return operator.attrgetter("value")
    if issubclass(kind, bytes):
        return lambda value: base64.b64encode(value).decode()
    if is_dataclass(kind):
        return _members_of(kind)
    if issubclass(kind, Mapping):
        return _mapped
    if issubclass(kind, frozenset):
        return _items_of
    return list if issubclass(kind, (list, tuple, AbstractSet)) else _text


def _items_of(value: frozenset[Any]) -> list[Any]:
    """The items of a set; those of the allowed IPs of a peer, of which all nodes tell, are made text once."""
    networks = isinstance(next(iter(value), None), (IPv4Network, IPv6Network))
    return _networks(value) if networks else list(value)


@lru_cache(maxsize=65536)
def _networks(value: frozenset[IPv4Network | IPv6Network]) -> list[str]:
    return list(map(str, value))


def _members_of(kind: Any) -> Callable[[Any], dict[str, Any]]:
    """What makes the mapping of a dataclass's members; whether one may be a mapping is a question of its type."""
    names = [member.name for member in fields(kind)]
    mapped = [name for name in names if _may_be_mapping(_hints(kind)[name])]

    def members(value: Any) -> dict[str, Any]:
        found = {name: getattr(value, name) for name in names}
        for name in mapped:
            found[name] = _mapped(found[name])
        return found

    return members


def _may_be_mapping(hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in _UNIONS:
        return any(map(_may_be_mapping, get_args(hint)))
    kind = origin or hint
    return not isinstance(kind, type) or issubclass(kind, Mapping) or issubclass(Mapping, kind)


def _mapped(value: Any) -> Any:
    """The same, but that a mapping is one by text, or a list of pairs: the encoder of JSON makes text of numbers."""
    if not isinstance(value, Mapping):
        return value
    if all(isinstance(key, str) for key in value):
        return {key: _mapped(item) for key, item in value.items()}
    return [[key, _mapped(item)] for key, item in value.items()]


# Many values have the same address, and its text takes a while.
_text = lru_cache(maxsize=65536, typed=True)(str)
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain)


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
