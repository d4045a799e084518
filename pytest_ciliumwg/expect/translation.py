"""A user's Helm values in the words of another version of Cilium, up or down, as `helm.toml` has them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ciliumwg.expect.facts import known_version
from pytest_ciliumwg.expect.helm import Renamed, renamed, table
from pytest_ciliumwg.expect.versions import Version, parse_version

_OPTIONAL = ("node_encryption", "userspace_fallback", "strict_egress", "strict_ingress", "tunnel_over_v6")
"""The parts of the table that not every version can do."""
_NOT_SET = (None, "")


def translated(values: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The values that mean the same to a version of Cilium.

    What the table does not name stays as it is. Words that a version does not know any more become those that it does;
    going back, the first of several old words is taken.

    Args:
        values: What a user has set, nested as in a values file; it stays as it is.
        version: The version that shall have them.

    Raises:
        ValueError: a value cannot be said in that version, or the version is out of the known range; one sentence.
    """
    known = known_version(version)
    made: dict[str, Any] = copy.deepcopy(dict(values))
    changes = renamed()
    for change in changes:
        if parse_version(change.since) <= known:
            _forward(made, change, version)
    for old in [*dict.fromkeys(change.old for change in reversed(changes) if parse_version(change.since) > known)]:
        _back(made, [change for change in changes if change.old == old], version)
    for refused in _impossible(made, known):
        raise ValueError(f"{refused}, but the Helm values shall be translated for Cilium {version}")
    return made


def _forward(values: dict[str, Any], change: Renamed, version: str) -> None:
    """Say it with the new name; the old one goes when all that it becomes has been said."""
    old = _get(values, change.old)
    if old in _NOT_SET:
        return
    word = _text(old)
    if change.old == change.new:
        if word in change.values:
            _set(values, change.new, change.values[word])
        elif word not in change.values.values():
            raise ValueError(_untold(change.old, word, version))
        return
    siblings = [sibling for sibling in renamed() if sibling.old == change.old]
    if change.values and all(word not in sibling.values for sibling in siblings):
        raise ValueError(_untold(change.old, word, version))
    if _get(values, change.new) in _NOT_SET and (word in change.values or not change.values):
        _set(values, change.new, change.values[word] if change.values else old)
    if change == siblings[-1]:
        _drop(values, change.old)


def _back(values: dict[str, Any], changes: list[Renamed], version: str) -> None:
    """Say it with the old name: with the first word that becomes all the new ones, or else the most of them."""
    old = changes[0].old
    if not changes[0].values:
        for change in changes:
            if (value := _get(values, change.new)) not in _NOT_SET:
                _set(values, old, value)
                _drop(values, change.new)
        return
    told = {
        change.new: _text(_get(values, change.new)) for change in changes if _get(values, change.new) not in _NOT_SET
    }
    possible: list[str] = []
    for change in changes:
        if (word := told.get(change.new)) is None or (change.new == old and word in change.values):
            continue
        fitting = [before for before, after in change.values.items() if after == word]
        if not fitting:
            raise ValueError(_untold(change.new, word, version))
        possible = [candidate for candidate in possible if candidate in fitting] or possible or fitting
    for new in told:
        if new != old:
            _drop(values, new)
    if possible:
        _set(values, old, possible[0])


def _impossible(values: Mapping[str, Any], version: Version) -> Iterator[str]:
    """What these values ask of a version that it cannot do."""
    for name in _OPTIONAL:
        part = table()["values"][name]
        step = [step for step in part["steps"] if parse_version(step["since"]) <= version][-1]
        if step.get("never") and any(_asked(values, candidate["value"]) for candidate in part["steps"]):
            yield part["available"]
    needed = [step for step in table()["values"]["l7_proxy"]["steps"] if parse_version(step["since"]) <= version][-1]
    wireguard = _get(values, "encryption.type") == "wireguard" and _text(_get(values, "encryption.enabled")) == "true"
    if needed["value"] and wireguard and _text(_get(values, "l7Proxy")) != "false":
        yield "WireGuard goes with the L7 proxy from Cilium 1.14, and before it needs l7Proxy=false"


def _asked(values: Mapping[str, Any], switches: Mapping[str, Any]) -> bool:
    """Whether values set what switches something on: a truth, or a word of the table."""
    return any(
        _text(_get(values, name)) == _text(wanted)
        for name, wanted in switches.items()
        if wanted is True or (isinstance(wanted, str) and not wanted.startswith("{"))
    )


def _untold(name: str, word: str, version: str) -> str:
    return f"the Helm value {name}={word} has no translation for Cilium {version}: set what is meant before the upgrade"


def _text(value: Any) -> str:
    """A value as it is written in the table; YAML's truths may be text too."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _get(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _set(values: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        inner = values.get(name)
        values[name] = values = inner if isinstance(inner, dict) else {}
    values[last] = value


def _drop(values: dict[str, Any], path: str) -> None:
    """Take a value away, and what is empty without it."""
    name, _, rest = path.partition(".")
    inner = values.get(name)
    if rest and isinstance(inner, dict):
        _drop(inner, rest)
    if not rest or inner == {}:
        values.pop(name, None)
