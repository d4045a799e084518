"""Faults of what Cilium is configured to do, as opposed to what was declared."""

from __future__ import annotations

from dataclasses import replace

from pytest_ciliumwg.providers.lab.faults.registry import fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode


@fault(
    "config-changed",
    description="Cilium's configuration says another routing mode than was declared",
    shows="routing-mode: tunnel in cilium-config, while the run expects native routing",
    source="cilium/cilium PR 35520: a configuration that was changed by accident, and nobody noticed",
    catcher="config.declared[routing_mode]",
    names="cluster",
)
def config_changed(lab: Lab, node: LabNode) -> None:
    """Change the configuration that the lab's API would show."""
    del node
    lab.config = replace(lab.config, routing_mode="vxlan")
