"""From an option's text to its value: each parser raises ValueError with what is accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")
# Not compiled here: every run of pytest loads this module, and hardly any needs them.
_CLUSTER_NAME = r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
_LABEL = r"[A-Za-z0-9./_-]+=[A-Za-z0-9._-]*"
_OF_VERSION = r"(v?[0-9]+\.[0-9]+[^=/\\]*)=(.+)"
_LABEL_OR_KEY = r"[A-Za-z0-9./_-]+(?:=[A-Za-z0-9._-]*)?"


def one_of(*accepted: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(text: str) -> str:
        if text not in accepted:
            raise ValueError(f"accepted are {', '.join(accepted)}")
        return text

    return parse


def some_of(*accepted: str) -> Callable[[str], frozenset[str]]:
    """At least one of some words."""

    def parse(text: str) -> frozenset[str]:
        chosen = frozenset(names(text))
        if not chosen or not chosen <= set(accepted):
            raise ValueError(f"accepted are {', '.join(accepted)}, several separated by commas")
        return chosen

    return parse


def several_of(*accepted: str) -> Callable[[str], tuple[str, ...]]:
    """Any of some words, or none at all."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = names(text)
        if not set(chosen) <= set(accepted):
            raise ValueError(f"accepted are {', '.join(accepted)}, several separated by commas")
        return chosen

    return parse


def pairs(text: str) -> int | None:
    """With how many others each node is paired; None for all."""
    found = re.fullmatch(r"all|ring|sample:([1-9][0-9]{0,5})", text.strip())
    if not found:
        raise ValueError("accepted are all, ring, or sample:K with a whole number K from 1, such as sample:4")
    return {"all": None, "ring": 1}.get(found[0]) if found[1] is None else int(found[1])


def namespaced(text: str) -> tuple[str, str]:
    """An object's namespace and name."""
    namespace, slash, name = text.strip().partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise ValueError("accepted is NAMESPACE/NAME")
    return namespace, name


def duration(text: str) -> float:
    """A time such as 90s, 30m or 2h, in seconds."""
    found = re.fullmatch(r"([0-9]{1,6})(s|m|h)?", text.strip())
    if not found or not int(found[1]):
        raise ValueError("accepted is a time such as 90s, 30m or 2h")
    return int(found[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2] or "s"]


def number(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"accepted are whole numbers from {least} to {most}")
        return int(text)

    return parse


def switch(text: str) -> bool:
    """On or off."""
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(f"accepted are {', '.join((*_TRUE, *_FALSE[:-1]))}")
    return text.lower() in _TRUE


def names(text: str) -> tuple[str, ...]:
    """Words separated by commas or lines."""
    return tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())


def lines(text: str) -> tuple[str, ...]:
    """Whole lines, which may hold commas."""
    return tuple(part.strip() for part in text.split("\n") if part.strip())


def assignments(text: str) -> tuple[str, ...]:
    """Lines of the form KEY=VALUE."""
    found = lines(text)
    if wrong := [line for line in found if not line.partition("=")[0] or "=" not in line]:
        raise ValueError(f"accepted is KEY=VALUE, as Helm's --set has it, which {wrong[0]!r} is not")
    return found


def charts(text: str) -> Mapping[str, str]:
    """Lines of the form VERSION=CHART, or CHART for any version; `~` in a path is the user's home."""
    found: dict[str, str] = {}
    for line in lines(text):
        matched = re.fullmatch(_OF_VERSION, line)
        version, chart = (matched[1], matched[2]) if matched else ("", line)
        if version:
            cilium_version(version)
        if version in found:
            raise ValueError(f"accepted is one chart for {version or 'any version'}, not {found[version]} and {chart}")
        found[version] = str(Path(chart).expanduser()) if chart.startswith("~") else chart
    return found


def files(text: str) -> tuple[Path, ...]:
    """Files that exist, one each line."""
    found = tuple(Path(line).expanduser() for line in lines(text))
    if missing := [path for path in found if not path.is_file()]:
        raise ValueError(f"there is no file {missing[0]}")
    return found


def inputs(text: str) -> tuple[Path, ...]:
    """Files and folders that exist, one each line."""
    found = tuple(Path(line).expanduser() for line in lines(text))
    if missing := [path for path in found if not path.exists()]:
        raise ValueError(f"there is no {missing[0]}")
    return found


def labels(text: str) -> Mapping[str, str]:
    """LABEL=VALUE, separated by commas."""
    found = names(text)
    if not found or not all(re.fullmatch(_LABEL, label) for label in found):
        raise ValueError("accepted is LABEL=VALUE, several separated by commas")
    return dict(label.split("=", 1) for label in found)


def opt_out(text: str) -> tuple[str, ...]:
    """Labels with or without a value, separated by commas; or `none`."""
    found = names(text)
    if found == ("none",):
        return ()
    if not found or not all(re.fullmatch(_LABEL_OR_KEY, label) for label in found):
        raise ValueError("accepted is none, or LABEL or LABEL=VALUE, several separated by commas")
    return found


def path(text: str) -> Path:
    """A path of the user's file system."""
    return Path(text).expanduser()


def word(text: str) -> str:
    """Anything that is not empty."""
    if not text.strip():
        raise ValueError("it is empty")
    return text.strip()


def cluster_name(text: str) -> str:
    """A name that kind, Docker and DNS take."""
    if not re.fullmatch(_CLUSTER_NAME, text):
        raise ValueError("accepted are at most 40 lower-case letters, digits and hyphens, no hyphen first or last")
    return text


def cilium_version(text: str) -> str:
    """A version of Cilium that the tables cover."""
    from pytest_ciliumwg.expect import known_version

    known_version(text)
    return text


def cilium_versions(text: str) -> tuple[str, ...]:
    """A way from one version of Cilium to others, or none."""
    found = names(text)
    for version in found:
        cilium_version(version)
    if len(found) == 1 or len(set(found)) < len(found):
        raise ValueError("accepted are two or more versions, each once, the present one first")
    return found
