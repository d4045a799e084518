"""Which flows a run sends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.flows.pairs import chosen_pairs
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Node, Pod, first_of, sorted_families
from pytest_ciliumwg.model.traffic import Flow, Path, Protocol, Purpose
from pytest_ciliumwg.providers.base import SERVICE_PORT

MtuOf = Callable[[Pod, IPAddress], int]
"""The MTU of the route from a pod to an address."""
Dropped = Callable[[IPFamily, Protocol, int], bool]
"""Whether a packet in fragments, the last one of so many bytes, is dropped: `Expectations.drops_fragments`."""

DATAGRAM_SIZE = 256
STREAM_SIZE = 4000
"""A TCP message of the pair flows: more than one segment at any usual MTU."""
_Counts = Mapping[Protocol, int]
MESSAGES: Sequence[tuple[float, _Counts]] = (
    (200, {Protocol.ICMP: 5, Protocol.TCP: 3, Protocol.UDP: 5}),
    (500, {Protocol.ICMP: 3, Protocol.TCP: 2, Protocol.UDP: 3}),
    (math.inf, {Protocol.ICMP: 2, Protocol.TCP: 1, Protocol.UDP: 2}),
)
"""Up to so many directed pairs, of each `pair` flow so many: where pairs are many, `load` still sends in a row.

By TCP each message takes three segments, and its answer as many.
"""
LOAD_MESSAGES = 150
"""Of each `load` flow: over both families and two peers, with the answers, that is a thousand packets of each pod."""
HEADERS = {IPFamily.V4: 28, IPFamily.V6: 48}
"""IP plus UDP or ICMP header."""
_TRANSPORT_HEADER, _FRAGMENT_HEADER = 8, 8


def plan_flows(
    pods: Sequence[Pod],
    families: frozenset[IPFamily],
    mtu_of: MtuOf,
    numbers: FlowNumbers,
    dropped: Dropped = lambda family, protocol, last: False,  # noqa: ARG005
    others: int | None = None,
) -> tuple[Flow, ...]:
    """All flows of a run between test pods, one pod for each node, in node order.

    `first`: one echo request for each pair of nodes, from the earlier to the later, which opens the WireGuard session
    (both ends at once would cross handshakes and back off). `pair`: every directed pair × family × protocol, or those
    of a sample (see `chosen_pairs`). `size`: from each node to the next and back, datagrams around the MTU; of three
    nodes that is every pair. `load`: on the same pairs many datagrams in a row, for what happens seldom or begins
    later.
    """
    pairs = chosen_pairs(pods, others)
    flows = [*_first(pods, pairs, families, numbers), *_pairs(pairs, families, numbers)]
    return (*flows, *_sizes(pods, families, mtu_of, numbers, dropped), *_load(pods, families, numbers))


def plan_paths(
    pods: Sequence[Pod],
    nodes: Sequence[Node],
    services: Mapping[str, Sequence[IPAddress]],
    families: frozenset[IPFamily],
    promised: frozenset[Path],
    numbers: FlowNumbers,
) -> tuple[Flow, ...]:
    """Flows on the other paths, from each node to the next one, and from each that takes part to the next such one.

    The traffic of a node that opted out of node encryption is clear, to it and from it, whatever is promised.
    """
    by_name = {node.name: node for node in nodes}
    taking_part = [pod for pod in pods if by_name[pod.node].encryption_key]
    pairs = [*with_next(pods), *(with_next(taking_part) if len(taking_part) > 1 else ())]
    flows: list[Flow] = []
    for source, destination in dict.fromkeys(pairs):
        ends: tuple[_Ends, ...] = (
            ("pod-to-node", pod_end(source), _host(by_name[destination.node])),
            ("node-to-pod", _host(by_name[source.node]), pod_end(destination)),
            ("node-to-node", _host(by_name[source.node]), _host(by_name[destination.node])),
        )
        takes_part = all(by_name[node].encryption_key for node in (source.node, destination.node))
        for path, sender, server in ends:
            flows += _path(path, sender, server, families, path in promised and takes_part, numbers)
    for source, destination in with_next(pods):  # each Service once: all of its flows come to one port
        # A Service's address is translated before the packet leaves the node, so this is pod to pod on the wire.
        service = End(destination.key, destination.node, tuple(services.get(destination.key, ())))
        through = _path("pod-to-service", pod_end(source), service, families, "pod-to-pod" in promised, numbers)
        served = {family: destination.address(family) for family in families}
        flows += [
            replace(flow, port=SERVICE_PORT, served_at=served[flow.family])
            for flow in through
            if flow.protocol is not Protocol.ICMP
        ]
    return tuple(flows)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a flow: its agent, node and addresses."""

    agent: str
    node: str
    addresses: tuple[IPAddress, ...]

    def address(self, family: IPFamily) -> IPAddress | None:
        """Its first address of a family."""
        return first_of(self.addresses, family)


_Ends = tuple[Path, End, End]


def host_key(node: str) -> str:
    """The name under which flows know a node's own network."""
    return f"host/{node}"


def pod_end(pod: Pod) -> End:
    """A pod as an end of flows."""
    return End(pod.key, pod.node, pod.addresses)


def _host(node: Node) -> End:
    return End(host_key(node.name), node.name, node.addresses)


def _path(
    path: Path, source: End, destination: End, families: frozenset[IPFamily], promised: bool, numbers: FlowNumbers
) -> Iterator[Flow]:
    for family in sorted_families(families):
        if source.address(family) is None or destination.address(family) is None:
            continue
        for protocol in Protocol:
            size = STREAM_SIZE if protocol is Protocol.TCP else DATAGRAM_SIZE
            flow = new_flow(numbers, "path", source, destination, family, protocol, size, 3)
            yield replace(flow, path=path, promised=promised)


def with_next(pods: Sequence[Pod]) -> Iterator[tuple[Pod, Pod]]:
    """Each pod with the next one, the last with the first."""
    return zip(pods, [*pods[1:], *pods[:1]], strict=True)


def size_pairs(pods: Sequence[Pod]) -> tuple[tuple[Pod, Pod], ...]:
    """The directed pairs on which sizes are probed: each node with the next one, both ways."""
    both = [pair for pod, following in with_next(pods) for pair in ((pod, following), (following, pod))]
    return tuple(dict.fromkeys(pair for pair in both if pair[0] is not pair[1]))


def plan_openings(
    flows: Iterable[Flow], pods: Sequence[Pod], families: frozenset[IPFamily], numbers: FlowNumbers
) -> tuple[Flow, ...]:
    """Flows that open the session of two nodes between which one of these flows runs, and none opens it yet.

    Where a sample of the pairs is tested, flows on other paths run between others too.
    """
    by_node = {pod.node: pod for pod in pods}
    opened: set[frozenset[str]] = set()
    crossed: dict[frozenset[str], None] = {}
    for flow in flows:
        nodes = frozenset(flow.pair)
        if flow.purpose == "first":
            opened.add(nodes)
        elif len(nodes) > 1 and nodes <= by_node.keys():
            crossed[nodes] = None
    missing = [(by_node[one], by_node[other]) for one, other in map(sorted, crossed.keys() - opened)]
    return tuple(_first(pods, sorted(missing, key=lambda pair: (pair[0].node, pair[1].node)), families, numbers))


def _first(
    pods: Sequence[Pod], pairs: Iterable[tuple[Pod, Pod]], families: frozenset[IPFamily], numbers: FlowNumbers
) -> Iterator[Flow]:
    """A flow for every two nodes, in whichever direction they are named; from the earlier one."""
    family = IPFamily.V4 if IPFamily.V4 in families else IPFamily.V6
    position = {pod.node: number for number, pod in enumerate(pods)}
    earlier_first = (sorted(pair, key=lambda pod: position[pod.node]) for pair in pairs)
    for source, destination in dict.fromkeys((one, other) for one, other in earlier_first):
        yield pod_flow(numbers, "first", source, destination, family, Protocol.ICMP, DATAGRAM_SIZE, 1)


def _pairs(pairs: Sequence[tuple[Pod, Pod]], families: frozenset[IPFamily], numbers: FlowNumbers) -> Iterator[Flow]:
    counts = next(counts for most, counts in MESSAGES if len(pairs) <= most)
    for source, destination in pairs:
        for family in sorted_families(families):
            for protocol, count in counts.items():
                size = STREAM_SIZE if protocol is Protocol.TCP else DATAGRAM_SIZE
                yield pod_flow(numbers, "pair", source, destination, family, protocol, size, count)


def _sizes(
    pods: Sequence[Pod], families: frozenset[IPFamily], mtu_of: MtuOf, numbers: FlowNumbers, dropped: Dropped
) -> Iterator[Flow]:
    for source, destination in size_pairs(pods):
        for family in sorted_families(families):
            address = destination.address(family)
            if address is None:
                continue
            mtu = mtu_of(source, address)
            fits = mtu - HEADERS[family]
            for protocol in (Protocol.ICMP, Protocol.UDP):
                for size, whole in ((1, False), (fits - 1, False), (fits, True), (fits + 1, False), (2 * fits, False)):
                    flow = pod_flow(numbers, "size", source, destination, family, protocol, size, 2)
                    lost = dropped(family, protocol, last_fragment(family, size, mtu))
                    yield replace(flow, dont_fragment=whole, dropped_by_design=lost)


def last_fragment(family: IPFamily, payload: int, mtu: int) -> int:
    """How many bytes of a datagram are in its last fragment, behind the IP header; 0 where it needs none.

    Args:
        family: The family, whose header each fragment has; in IPv6 also that of the fragment.
        payload: Bytes of UDP or ICMP payload.
        mtu: The MTU of the route.
    """
    datagram = payload + _TRANSPORT_HEADER
    room = mtu - HEADERS[family] + _TRANSPORT_HEADER
    if datagram <= room:
        return 0
    each = (room - (_FRAGMENT_HEADER if family is IPFamily.V6 else 0)) // 8 * 8
    return datagram % each or each


def _load(pods: Sequence[Pod], families: frozenset[IPFamily], numbers: FlowNumbers) -> Iterator[Flow]:
    for source, destination in size_pairs(pods):
        for family in sorted_families(families):
            size, count = DATAGRAM_SIZE, LOAD_MESSAGES
            yield pod_flow(numbers, "load", source, destination, family, Protocol.UDP, size, count)


def pod_flow(
    numbers: FlowNumbers,
    purpose: Purpose,
    source: Pod,
    destination: Pod,
    family: IPFamily,
    protocol: Protocol,
    size: int,
    count: int,
) -> Flow:
    """A flow between two test pods.

    Raises:
        ProviderError: one of them has no address of the family.
    """
    return new_flow(numbers, purpose, pod_end(source), pod_end(destination), family, protocol, size, count)


def new_flow(
    numbers: FlowNumbers,
    purpose: Purpose,
    source: End,
    destination: End,
    family: IPFamily,
    protocol: Protocol,
    size: int,
    count: int,
) -> Flow:
    """A flow between two ends, with an id and a port of its own.

    Raises:
        ProviderError: one of them has no address of the family.
    """
    addresses = source.address(family), destination.address(family)
    if addresses[0] is None or addresses[1] is None:
        missing = source if addresses[0] is None else destination
        raise ProviderError(f"{missing.agent} on node {missing.node} has no IP{family.value} address")
    number, port = numbers.take(addresses[1], protocol)
    return Flow(
        id=number,
        purpose=purpose,
        source_node=source.node,
        destination_node=destination.node,
        source_pod=source.agent,
        destination_pod=destination.agent,
        source=addresses[0],
        destination=addresses[1],
        protocol=protocol,
        port=port,
        payload_size=size,
        count=count,
    )
