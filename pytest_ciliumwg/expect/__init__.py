"""What must hold, by Cilium version and configuration: one table of facts as data, with sources, and its reader."""

from __future__ import annotations

from pytest_ciliumwg.expect.expectations import (
    Expectations,
    ExpectedRule,
    MtuRange,
    Requirement,
    contradictions,
    expectations_for,
)
from pytest_ciliumwg.expect.facts import DEFAULT_VERSION, NEWEST_MINOR, OLDEST_MINOR, known_version, source
from pytest_ciliumwg.expect.mesh import mesh_peers
from pytest_ciliumwg.expect.versions import Version, older, parse_version, same_version

__all__ = [
    "DEFAULT_VERSION",
    "NEWEST_MINOR",
    "OLDEST_MINOR",
    "Expectations",
    "ExpectedRule",
    "MtuRange",
    "Requirement",
    "Version",
    "contradictions",
    "expectations_for",
    "known_version",
    "mesh_peers",
    "older",
    "parse_version",
    "same_version",
    "source",
]
