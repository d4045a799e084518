"""Faults of what Cilium is configured to do, as opposed to what was declared."""

from __future__ import annotations

from dataclasses import replace

from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode


@fault(
    "version-other",
    description="the agents run another version of Cilium than was declared",
    shows="the agents tell another minor version",
    source="an upgrade that somebody else has made meanwhile, or rolled back",
    catcher="config.version",
    names="cluster",
)
def version_other(lab: Lab, node: LabNode) -> None:
    """Change the version that the lab's API would show."""
    del node
    lab.config = replace(lab.config, version="1.16.4" if lab.config.version.startswith("1.15") else "1.15.10")


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
