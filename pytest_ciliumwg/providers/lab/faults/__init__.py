"""Faults that a lab can be given, so that a suite can prove that it notices them. Each is one small function."""

from __future__ import annotations

from pytest_ciliumwg.providers.lab.faults import capture, leaks, peers, steering, underlay
from pytest_ciliumwg.providers.lab.faults.registry import FAULTS, Fault, Injection, parse, resolve

__all__ = ["FAULTS", "Fault", "Injection", "capture", "leaks", "parse", "peers", "resolve", "steering", "underlay"]
