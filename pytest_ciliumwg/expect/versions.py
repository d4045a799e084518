"""Cilium's version numbers, ordered. What a version means is in `cilium.toml`, not here."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

NEWEST_PATCH = sys.maxsize
"""The patch of a version written as `X.Y`: its newest one, whichever that is by now."""

_PATTERN = re.compile(
    r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4})(?:(?:[-+_~]|\.(?=[A-Za-z]))[0-9A-Za-z.+_~-]+)?)?", re.ASCII
)
"""What follows the patch is a pre-release, or what a distribution says of its own build."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A Cilium release. A pre-release counts as the release that it leads to."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        release = f"{self.major}.{self.minor}"
        return release if self.patch == NEWEST_PATCH else f"{release}.{self.patch}"


def parse_version(text: str) -> Version:
    """Read a version as Cilium, Helm or a user writes it: `1.13`, `v1.15.0-pre.3`, `1.13.0-rc3`.

    Args:
        text: The version; without a patch it means the newest patch of that minor version.

    Raises:
        ValueError: `text` is no version; the message is one sentence for the user.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        message = f"{text!r} is not a Cilium version: write it like 1.15, 1.20.3 or v1.15.0-pre.3"
        raise ValueError(message)
    major, minor, patch = match.groups()
    return Version(int(major), int(minor), NEWEST_PATCH if patch is None else int(patch))


def older(one: str, other: str) -> bool:
    """Whether a version is older than another; a minor version stands for its newest patch.

    Raises:
        ValueError: one of them is no version.
    """
    return parse_version(one) < parse_version(other)


def same_version(found: str, wanted: str) -> bool:
    """Whether a version is the one that is wanted, which may be any patch of a minor version.

    Raises:
        ValueError: one of them is no version.
    """
    has, wants = parse_version(found), parse_version(wanted)
    newest = NEWEST_PATCH in (has.patch, wants.patch)
    return (has.major, has.minor) == (wants.major, wants.minor) and (newest or has.patch == wants.patch)
