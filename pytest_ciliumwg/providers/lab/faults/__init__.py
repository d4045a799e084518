"""Faults that a lab can be given, so that a suite can prove that it notices them. Each is one small function."""

from __future__ import annotations

from pytest_ciliumwg.providers.lab.faults import (
    allowed,
    capture,
    changes,
    clock,
    cluster,
    crafted,
    device,
    handshake,
    later,
    leaks,
    peers,
    rules,
    steering,
    underlay,
)
from pytest_ciliumwg.providers.lab.faults.registry import ALL, BOTH, FAULTS, Fault, Injection, parse, resolve

__all__ = [
    "ALL",
    "BOTH",
    "FAULTS",
    "Fault",
    "Injection",
    "allowed",
    "capture",
    "changes",
    "clock",
    "cluster",
    "crafted",
    "device",
    "handshake",
    "later",
    "leaks",
    "parse",
    "peers",
    "resolve",
    "rules",
    "steering",
    "underlay",
]
