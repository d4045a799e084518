"""What can be broken in a lab, so that a suite can prove that it notices it. Each fault is one small function."""

from __future__ import annotations

import importlib
import pkgutil

from pytest_ciliumwg.faults.catalogue import ALL, BOTH, FAULTS, Fault, Injection, parse
from pytest_ciliumwg.faults.lab import create_faulty_lab

__all__ = ["ALL", "BOTH", "FAULTS", "Fault", "Injection", "create_faulty_lab", "parse"]

# Importing a module puts its faults into the catalogue: a new file needs no other line.
for _found in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_found.name)
