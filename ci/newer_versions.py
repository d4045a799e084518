"""Say in Markdown which released versions this project does not know yet, and what to change for each; else nothing.

Usage: newer_versions.py KNOWN CILIUM KIND KUBERNETES, files with JSON: the output of `pytest-ciliumwg matrix --known`,
and lists of released tags.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Numbers = tuple[int, ...]


def numbers(version: str) -> Numbers:
    """A version such as v1.20.3; empty for what is none, or is no release."""
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


def newest(tags: Iterable[str]) -> Numbers:
    """The newest release among tags."""
    return max(map(numbers, tags), default=())


def proposals(
    known: Mapping[str, Any], cilium: Iterable[str], kind: Iterable[str], kubernetes: Iterable[str]
) -> Iterator[str]:
    """A line for each program that has a newer version."""
    found = newest(cilium)
    if found > numbers(known["cilium"]):
        minor = "" if found[:2] == numbers(known["cilium"])[:2] else "; a new minor: night.toml, and what it changed"
        yield f"Cilium {said(found)} ({known['cilium']} is known): `newest` in expect/cilium.toml{minor}"
    newer = newest(kind)
    if newer > numbers(known["kind"]):
        yield f"kind {said(newer)} ({known['kind']} is known): the node images of its notes, in expect/helm.toml"
    minors = {numbers(version)[:2] for version in known["kubernetes"]}
    latest = newest(kubernetes)
    if latest[:2] > max(minors):
        yield f"Kubernetes {said(latest)}: a node image of it, and `tested`, in expect/helm.toml"


def said(version: Numbers) -> str:
    """A version in words."""
    return ".".join(map(str, version))


def main(arguments: list[str]) -> None:
    """Read the files, write the lines."""
    lines = list(proposals(*(json.loads(Path(argument).read_text("utf-8")) for argument in arguments)))
    if lines:
        sys.stdout.write("".join(f"- [ ] {line}\n" for line in lines))


if __name__ == "__main__":
    main(sys.argv[1:])
