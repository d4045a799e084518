"""Which flows the profile extended adds: to DNS, NodePorts, hostPorts, health endpoints, and from and to outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_ciliumwg.flows.plan import DATAGRAM_SIZE as SIZE
from pytest_ciliumwg.flows.plan import STREAM_SIZE, End, new_flow, pod_end, with_next
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Node, Pod, sorted_families
from pytest_ciliumwg.model.traffic import Flow, Path, Protocol
from pytest_ciliumwg.providers.targets import (
    BEHIND_HOST_PORT,
    BY_OUTSIDE,
    BY_OWN,
    BY_SERVER,
    BY_THIRD,
    DNS_PORT,
    MOST_SERVERS,
    OUTSIDE,
    Targets,
)

QUESTION_SIZE = 63
"""Bytes of a question that are ours: one label of a name."""
MESSAGES = 3
QUESTIONS_AGAIN = 4
"""So many times each pod asks a DNS service of several pods, since each time another one may answer."""
_TRANSPORTS = (Protocol.TCP, Protocol.UDP)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all flows of one plan follow from."""

    nodes: Mapping[str, Node]
    targets: Targets
    families: Sequence[IPFamily]
    promised: frozenset[Path]
    replaced: bool
    """Whether Cilium replaces kube-proxy, and so translates what pods send to Services in the pods."""
    numbers: FlowNumbers

    def take_part(self, *nodes: str) -> bool:
        """Whether none of them opted out of node encryption."""
        return all(self.nodes[name].encryption_key for name in nodes)

    def flow(
        self, path: Path, source: End, server: End, to: End, family: IPFamily, protocol: Protocol, promised: bool
    ) -> Flow | None:
        """A flow to an address that leads to a server, where all have addresses of the family."""
        served_at = server.address(family)
        if source.address(family) is None or served_at is None or to.address(family) is None:
            return None
        size = STREAM_SIZE if protocol is Protocol.TCP else SIZE
        end = replace(server, addresses=to.addresses)
        made = new_flow(self.numbers, "path", source, end, family, protocol, size, MESSAGES)
        return replace(made, path=path, promised=path in self.promised and promised, served_at=served_at)


def plan_extended(
    pods: Sequence[Pod],
    nodes: Sequence[Node],
    targets: Targets,
    families: frozenset[IPFamily],
    promised: frozenset[Path],
    numbers: FlowNumbers,
    *,
    replaced: bool,
) -> tuple[Flow, ...]:
    """The flows of the profile extended, from each node to the next one; of a large cluster from its first nodes.

    What comes from outside enters at a node and is served on the next one.

    Args:
        pods: One test pod for each node, in node order.
        nodes: The nodes.
        targets: Where flows can go.
        families: The families of the cluster.
        promised: The paths that this version and configuration encrypts.
        numbers: Where ids and ports come from.
        replaced: Whether Cilium replaces kube-proxy.
    """
    by_name = {node.name: node for node in nodes}
    plan = _Plan(by_name, targets, sorted_families(families), promised, replaced, numbers)
    flows: list[Flow | None] = []
    pairs = list(with_next(pods))[:MOST_SERVERS]
    for at, (source, server) in enumerate(pairs):
        third = pods[(at + 2) % len(pods)].node
        flows += _to_node_ports(plan, source, server, third)
        flows += _to_host_port(plan, source, server)
        flows += _to_health(plan, source, server)
        flows += _from_outside(plan, source.node, server)
        flows += _to_outside(plan, source)
        flows += _to_dns(plan, source)
    return tuple(flow for flow in flows if flow is not None)


def _to_node_ports(plan: _Plan, source: Pod, server: Pod, third: str) -> Iterator[Flow | None]:
    ways = {BY_OWN: source.node, BY_SERVER: server.node}
    if third not in (source.node, server.node):
        ways[BY_THIRD] = third
    for port, node in ways.items():
        # Without translation in the pod it is the traffic of nodes; a third node's part of the way nobody follows.
        followed = plan.replaced or (port != BY_THIRD and plan.take_part(source.node, server.node))
        for family, protocol in _kinds(plan):
            made = plan.flow(
                "pod-to-nodeport", pod_end(source), pod_end(server), _node(plan, node), family, protocol, followed
            )
            yield _by_node_port(plan, made, server, port)


def _to_host_port(plan: _Plan, source: Pod, server: Pod) -> Iterator[Flow | None]:
    for family, protocol in _kinds(plan) if plan.targets.host_port else ():
        to, both = _node(plan, server.node), plan.take_part(source.node, server.node)
        made = plan.flow("pod-to-hostport", pod_end(source), pod_end(server), to, family, protocol, both)
        yield made and replace(made, port=plan.targets.host_port or 0, served_port=BEHIND_HOST_PORT)


def _to_health(plan: _Plan, source: Pod, server: Pod) -> Iterator[Flow | None]:
    """Echo requests, which the health endpoint's kernel answers."""
    health = End(f"health/{server.node}", server.node, plan.nodes[server.node].health_addresses)
    for family in plan.families:
        yield plan.flow("pod-to-health", pod_end(source), health, health, family, Protocol.ICMP, promised=True)


def _from_outside(plan: _Plan, entry: str, server: Pod) -> Iterator[Flow | None]:
    outside = plan.targets.outside
    for family, protocol in _kinds(plan) if outside else ():
        client = End(OUTSIDE, entry, outside.addresses if outside else ())
        # Of nodes it is traffic with node encryption; in a tunnel all that goes to pods is encrypted.
        followed = "node-to-pod" not in plan.promised or plan.take_part(entry, server.node)
        made = plan.flow("north-south", client, pod_end(server), _node(plan, entry), family, protocol, followed)
        yield _by_node_port(plan, made, server, BY_OUTSIDE)


def _to_outside(plan: _Plan, source: Pod) -> Iterator[Flow | None]:
    """What nobody encrypts, and is reported; on its own node, since no other node has a part in it."""
    outside = plan.targets.outside
    for family, protocol in _kinds(plan) if outside else ():
        server = End(OUTSIDE, source.node, outside.addresses if outside else ())
        yield plan.flow("pod-to-outside", pod_end(source), server, server, family, protocol, promised=False)


def _to_dns(plan: _Plan, source: Pod) -> Iterator[Flow | None]:
    dns = plan.targets.dns
    others = [node for node in dns.nodes if node != source.node] if dns else []
    if dns is None or not others:
        return
    service = End("dns", others[0], dns.addresses)
    for _ in range(QUESTIONS_AGAIN if len(dns.nodes) > 1 else 1):
        for family, protocol in _kinds(plan):
            made = plan.flow("pod-to-dns", pod_end(source), service, service, family, protocol, promised=True)
            where = dns.nodes if len(dns.nodes) > 1 else ()
            yield made and replace(
                made,
                port=DNS_PORT,
                payload_size=QUESTION_SIZE,
                served_at=None,
                served_by=where,
                dns_domain=dns.domain,
            )


def _by_node_port(plan: _Plan, flow: Flow | None, server: Pod, port: int) -> Flow | None:
    """The flow by the NodePort that leads to a port of its server; None where there is none."""
    if flow is None:
        return None
    node_port = plan.targets.node_ports.get(server.key, {}).get((port, flow.protocol))
    return replace(flow, port=node_port, served_port=port) if node_port else None


def _kinds(plan: _Plan) -> list[tuple[IPFamily, Protocol]]:
    return [(family, protocol) for family in plan.families for protocol in _TRANSPORTS]


def _node(plan: _Plan, name: str) -> End:
    addresses: tuple[IPAddress, ...] = plan.nodes[name].addresses
    return End(name, name, addresses)
