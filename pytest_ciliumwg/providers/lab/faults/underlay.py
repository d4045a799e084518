"""Faults of the wire between the nodes."""

from __future__ import annotations

from pytest_ciliumwg.providers.lab.faults.registry import fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import UNDERLAY, LabNode
from pytest_ciliumwg.providers.lab.topology import port_of


@fault(
    "blackhole",
    description="the wire drops all that the node sends to others and others send to it",
    shows="nothing arrives, encrypted or not; so nothing can be said about encryption",
    source="a firewall that blocks UDP 51871 and all else between nodes, or a switch that failed",
    default="all nodes",
)
def blackhole(lab: Lab, node: LabNode) -> None:
    """Unplug the node from the bridges; its devices keep their carrier."""
    for device in lab.spec.devices:
        lab.sandbox.run(f"ip link set dev {port_of(node, device)} nomaster", netns=UNDERLAY)
