"""What runs of the suite load: pytester lets go of all modules that a run in its process loaded, but of none before.

A run is half as long where these need not be loaded again. Not among them is what pytest itself rewrites and loads.
"""

from __future__ import annotations

import importlib

for name in (
    "hypothesis",
    "kubernetes.client",
    "kubernetes.config",
    "kubernetes.stream",
    "pytest_ciliumwg.session.hooks",
    "pytest_ciliumwg.session.plan",
    "pytest_ciliumwg.session.run",
    "pytest_ciliumwg.checks.helpers",
    "websocket",
):
    importlib.import_module(name)
