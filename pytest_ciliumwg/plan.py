"""`--ciliumwg-plan`: what would run, said without touching anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pytest_ciliumwg.checks import Check
from pytest_ciliumwg.expect import DEFAULT_VERSION
from pytest_ciliumwg.model.cluster import IPFamily, Pod
from pytest_ciliumwg.options import Settings
from pytest_ciliumwg.providers.choose import families_of
from pytest_ciliumwg.wire.plan import plan_flows

_MTU = 1420


def print_plan(writer: Any, settings: Settings, checks: Sequence[Check]) -> None:
    """Write the checks, the flows and what would be made."""
    nodes = settings.nodes or 3
    writer.ensure_newline()
    writer.section("plan: nothing is made and nothing is sent", sep="=")
    version = settings.cilium_version or DEFAULT_VERSION
    writer.line(f"cluster: provider {settings.provider}, {nodes} nodes, IP{settings.ip_family}, Cilium {version}")
    for fault in settings.faults:
        writer.line(f"fault to inject: {fault}")
    for check_id, tests in Counter(check.id for check in checks).items():
        check = next(one for one in checks if one.id == check_id)
        times = f" (x{tests})" if tests > 1 else ""
        writer.line(f"check {check_id}{times}: {check.statement}")
    _flows(writer, nodes, families_of(settings))
    writer.line("not asserted to be encrypted, because Cilium by design does not encrypt it:")
    writer.line("  pod to pod on the same node; pods and nodes to the world outside the cluster")


def _flows(writer: Any, nodes: int, families: frozenset[IPFamily]) -> None:
    flows = plan_flows([_pod(number) for number in range(nodes)], families, lambda pod, address: _MTU)  # noqa: ARG005
    groups = Counter((flow.purpose, flow.protocol.value, flow.family.value) for flow in flows)
    for (purpose, protocol, family), count in groups.items():
        writer.line(f"flows {purpose}: {count} x {protocol} over IP{family}, pod to pod between two nodes")
    writer.line(f"{len(flows)} flows in one watch on every native device of all nodes")


def _pod(number: int) -> Pod:
    addresses = (IPv4Address(0x0AF40000 + number), IPv6Address((0xFD << 120) + number))
    return Pod(name=f"pod-{number}", namespace="plan", node=f"node-{number}", addresses=addresses)
