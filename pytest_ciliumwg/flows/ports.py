"""Ports for flows: clear of all that others use, so that nobody's traffic is taken for a flow of ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.model.traffic import Flow, Protocol
from pytest_ciliumwg.providers.base import SERVICE_PORT

FIRST_PORT, LAST_PORT = 11000, 29999
"""Above Kubernetes' and Cilium's own ports on a node (4240 to 10259, overlays 4789, 6081 and 8472), below NodePorts
(30000 to 32767) and ephemeral ports (32768 to 60999), among which is WireGuard's 51871."""
PORTS = tuple(port for port in range(FIRST_PORT, LAST_PORT + 1) if port != SERVICE_PORT)


def port_of(number: int) -> int:
    """The port of a flow by its number; of many thousands of flows some have the same."""
    return PORTS[number % len(PORTS)]


def with_own_ports(flows: Iterable[Flow]) -> tuple[Flow, ...]:
    """The same flows, no two of which share destination, protocol and port; those through Services keep theirs."""
    taken: set[tuple[IPAddress, Protocol, int]] = set()
    numbered = []
    for flow in flows:
        number = flow.id
        while flow.served_at is None and (flow.destination, flow.protocol, port_of(number)) in taken:
            number += 1
        port = flow.port if flow.served_at is not None else port_of(number)
        taken.add((flow.destination, flow.protocol, port))
        numbered.append(flow if port == flow.port else replace(flow, port=port))
    return tuple(numbered)
