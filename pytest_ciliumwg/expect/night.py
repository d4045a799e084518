"""The reader of `night.toml`: which combinations a night runs, as a matrix of GitHub Actions."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.expect.helm import table


def night() -> dict[str, Any]:
    """Versions × routing modes × IP families, and single combinations beside them (`include`)."""
    found: dict[str, Any] = _read()["night"]
    return found


def upgrades(pairs: str = "") -> dict[str, Any]:
    """The upgrades to run.

    Args:
        pairs: What to run instead of those of the file: `FROM,TO` with blanks between two of them.

    Raises:
        ValueError: a pair is none.
    """
    chosen = pairs.split() or list(_read()["upgrades"]["pairs"])
    for pair in chosen:
        if len([version for version in pair.split(",") if version]) < 2:
            raise ValueError(f"{pair!r} is no pair of versions: write FROM,TO, and blanks between two pairs")
    return {"versions": chosen}


def known() -> dict[str, Any]:
    """The versions that this release knows: of Cilium the newest, of Kubernetes each node image, of kind the newest."""
    images = [row["image"].partition("@")[0].rpartition(":v")[2] for row in table()["node_images"]]
    kinds = [row["kind"] for row in table()["node_images"] if "kind" in row]
    return {"cilium": DEFAULT_VERSION, "kubernetes": images, "kind": max(kinds, key=_numbers)}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _read() -> dict[str, Any]:
    return tomllib.loads(resources.files("pytest_ciliumwg.expect").joinpath("night.toml").read_text("utf-8"))
