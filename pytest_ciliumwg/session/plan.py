"""`--ciliumwg-plan`: what would run and what would be made, said without touching anything."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pytest_ciliumwg.checks.check import Check
from pytest_ciliumwg.flows.plan import plan_flows
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.providers.existing.rights import PUBLISHING, rights
from pytest_ciliumwg.session.estimate import estimate
from pytest_ciliumwg.session.opening import existing_spec, families_of, kind_spec, nodes_of, version_of
from pytest_ciliumwg.session.stages import announcement

_MTU = 1420


def print_plan(writer: Any, settings: Settings, checks: Sequence[Check]) -> None:
    """Write the checks, the flows and what would be made.

    Raises:
        ProviderError: what is asked for could not be made.
    """
    made = list(_made(settings))
    writer.ensure_newline()
    writer.section("plan: nothing is made and nothing is sent", sep="=")
    for line in made:
        writer.line(line)
    for line in announcement(settings, "the last node"):
        writer.line(line)
    for fault in settings.faults:
        writer.line(f"fault to inject: {fault}")
    for check_id, tests in Counter(check.id for check in checks).items():
        check = next(candidate for candidate in checks if candidate.id == check_id)
        times = f" (x{tests})" if tests > 1 else ""
        writer.line(f"check {check_id}{times}: {check.statement}")
    _flows(writer, settings)
    writer.line("not asserted to be encrypted, because Cilium by design does not encrypt it:")
    writer.line("  pod to pod on the same node; pods and nodes to the world outside the cluster")


def _made(settings: Settings) -> Iterator[str]:
    """What the cluster is, and what would be made for it."""
    if settings.provider == "existing":
        yield from _existing_cluster(settings)
    else:
        family = settings.ip_family or "dual"
        yield (
            f"cluster: provider {settings.provider_name}, {nodes_of(settings)} nodes, IP{family}, "
            f"Cilium {version_of(settings)}"
        )
    if settings.provider == "kind":
        yield from _kind_cluster(settings)
    if settings.provider != "lab":
        yield from _agents(settings)


def _existing_cluster(settings: Settings) -> Iterator[str]:
    spec = existing_spec(settings)
    spec.check()
    nodes = f"at most {spec.max_nodes} nodes" if spec.max_nodes else "all nodes"
    if spec.node_selector:
        nodes += f" with {', '.join(f'{key}={value}' for key, value in spec.node_selector.items())}"
    yield f"cluster: provider {settings.provider_name}, {nodes}, context {spec.context or 'of the kubeconfig'}"
    declared = {"encryption": True, **spec.declared.given()}
    shown = ", ".join(f"{name} {_shown(value)}" for name, value in declared.items())
    yield f"declared: {shown}; taken as found: {', '.join(spec.declared.assumed()) or 'nothing'}"
    yield f"the flows below are those of {spec.max_nodes or nodes_of(settings)} nodes; more nodes add pairs"


def _shown(value: Any) -> str:
    if isinstance(value, frozenset):
        return "+".join(sorted(member.value for member in value))
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return {"True": "on", "False": "off"}.get(str(value), str(value))


def _kind_cluster(settings: Settings) -> Iterator[str]:
    spec = kind_spec(settings)
    spec.check()
    yield f"kind cluster {spec.name}, made from:"
    yield from _indented(spec.kind_config())
    for image in spec.load_images:
        yield f"image to load into all nodes: {image}"
    yield f"Helm chart: {shlex.join(spec.chart_arguments())}, with the values:"
    yield from _indented(spec.values())
    for file in spec.helm_values:
        yield f"  and those of {file}"
    for assignment in spec.helm_sets:
        yield f"  and {assignment}"
    end = "kept" if settings.keep else "removed"
    yield f"the cluster is {end} at the end"


def _indented(content: Any) -> Iterator[str]:
    yield from (f"  {line}" for line in json.dumps(content, indent=2).splitlines())


def _agents(settings: Settings) -> Iterator[str]:
    spec = existing_spec(settings)
    publishing = [] if settings.publish is None else [PUBLISHING]
    yield "in the cluster, and removed at the end: a namespace ciliumwg-<id> (privileged Pod Security) with a"
    yield "  ServiceAccount without rights, a ConfigMap with the agent, a NetworkPolicy that lets test traffic pass,"
    yield "  a DaemonSet node-agent (host network, NET_RAW) and a DaemonSet test-pod, one pod with a Service of its own"
    yield f"  on each node, image {spec.image} ({spec.image_pull_policy})"
    yield "rights that this needs (deploy/ has them as Roles):"
    yield from (f"  {right}" for right in rights(*settings.profiles, *publishing))


def _flows(writer: Any, settings: Settings) -> None:
    nodes = settings.max_nodes or nodes_of(settings)
    pods, families = [_pod(number) for number in range(nodes)], families_of(settings)
    flows = plan_flows(pods, families, lambda pod, address: _MTU, FlowNumbers(), others=settings.pairs)  # noqa: ARG005
    groups = Counter((flow.purpose, flow.protocol.value, flow.family.value) for flow in flows)
    for (purpose, protocol, family), count in groups.items():
        writer.line(f"flows {purpose}: {count} x {protocol} over IP{family}, pod to pod between two nodes")
    writer.line(f"{len(flows)} flows in one watch on every native device of all nodes")
    for line in estimate(flows, nodes, _MTU, by_api=settings.provider != "lab"):
        writer.line(line)
    writer.line("in the same watch, and asserted only where it is promised: pod to node, node to pod, node to node;")
    writer.line("  and, where the cluster has Services, pod to pod by a ClusterIP")


def _pod(number: int) -> Pod:
    addresses = (IPv4Address(0x0AF40000 + number), IPv6Address((0xFD << 120) + number))
    return Pod(name=f"pod-{number}", namespace="plan", node=f"node-{number}", addresses=addresses)
