"""The chain of custody against traffic that goes another way: `python -m bench.custody [BYPASSING] [HEALTHY]`.

With other pods' traffic in the tunnel between each pair of nodes, flows are carried past the tunnel in four ways (a
side path, XDP at both ends, a marked second route, a second tunnel that masks), each protocol alone and all together,
until so many flows were; none of them may be called encrypted. Then as many healthy flows run with the same traffic
beside them; none of them may be called anything else. XDP needs real root.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.faults.tools.masking_tunnel import DEVICE, start_masking_tunnel
from pytest_ciliumwg.faults.tools.xdp import carry_by_xdp
from pytest_ciliumwg.faults.wire.another_way import lead_over, over_the_side, side_link
from pytest_ciliumwg.flows.plan import HEADERS, plan_flows
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.traffic import Flow, Protocol, Verdict
from pytest_ciliumwg.providers.base import states_of
from pytest_ciliumwg.providers.lab import LabCluster, LabSpec, create_lab
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.verdict.judge import Judge, Judgement
from pytest_ciliumwg.watch.one_shot import measure

VERSIONS = ("1.13", "1.20.3")
PROTOCOLS = ("", "icmp", "tcp", "udp")
MTU = 1400
CONDITIONS = {
    "": "",
    "icmp": "meta l4proto { icmp, icmpv6 }",
    "tcp": "meta l4proto tcp",
    "udp": "meta l4proto udp",
}
Way = Callable[[Lab, LabNode, LabNode, str], None]


def side_path(lab: Lab, node: LabNode, peer: LabNode, protocol: str) -> None:
    """Both directions over a cable that nobody knows of."""
    side_link(lab, node, peer)
    over_the_side(lab, node, peer, 2, CONDITIONS[protocol])
    over_the_side(lab, peer, node, 1, CONDITIONS[protocol])


def second_route(lab: Lab, node: LabNode, peer: LabNode, protocol: str) -> None:
    """One direction over that cable, by a mark."""
    side_link(lab, node, peer)
    over_the_side(lab, node, peer, 2, CONDITIONS[protocol])


def second_tunnel(lab: Lab, node: LabNode, peer: LabNode, protocol: str) -> None:
    """Both directions through a tunnel that turns over the bits."""
    start_masking_tunnel(lab, node, peer)
    for source, destination in ((node, peer), (peer, node)):
        routes = [f"dev {DEVICE}"] * len(lab.families)
        lead_over(lab, source, destination, routes, CONDITIONS[protocol])


WAYS: dict[str, Way] = {
    "side path": side_path,
    "XDP at both ends": carry_by_xdp,
    "marked second route": second_route,
    "masking second tunnel": second_tunnel,
}


@contextmanager
def busy_lab(version: str) -> Iterator[LabCluster]:
    """A lab whose other pods talk through the tunnel, each pair of nodes in both directions."""
    cluster = create_lab(LabSpec(cilium_version=version, nodes=3), lambda _: None)
    try:
        for node, peer in itertools.combinations(cluster.lab.layout, 2):
            start_foreign_traffic(cluster.lab, node, peer)
        yield cluster
    finally:
        cluster.close()


def judged(cluster: LabCluster) -> tuple[Judgement, ...]:
    """All flows of the suite between pods, judged, but those that the version drops in fragments."""
    dropped, families = cluster.lab.expected.drops_fragments, cluster.declared.families
    planned = plan_flows(cluster.test_pods(), families, lambda _pod, _ip: MTU, FlowNumbers(), dropped)
    flows = [flow for flow in planned if not flow.dropped_by_design]
    nodes = cluster.nodes()
    states = states_of(cluster, [node.name for node in nodes])
    measurement = measure(cluster, flows, states, 51871, lambda _: None)
    return Judge(measurement, nodes).judgements


def whole(flow: Flow) -> bool:
    """Whether its messages fit into a packet: what becomes of fragments is a property of the version."""
    return flow.payload_size <= MTU - HEADERS[flow.family] or flow.protocol is Protocol.TCP


def bypasses(flow: Flow, pair: set[str], protocol: str) -> bool:
    """Whether a flow is led another way; IPv6 fragments do not show their protocol, and take the tunnel."""
    return set(flow.pair) == pair and protocol in ("", flow.protocol.value) and (not protocol or whole(flow))


def main() -> int:
    """Run both parts; returns the exit status."""
    bypassing, healthy = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((1, 1000), (2, 10_000)))
    wrong = _bypassing(bypassing) + _healthy(healthy)
    return 1 if wrong else 0


def _bypassing(least: int) -> int:
    total: Counter[str] = Counter()
    for version, protocol, (name, lead) in itertools.cycle(itertools.product(VERSIONS, PROTOCOLS, WAYS.items())):
        if total.total() >= least:
            break
        with busy_lab(version) as cluster:
            node, peer = cluster.lab.layout[1:3]
            lead(cluster.lab, node, peer, protocol)
            led = [
                judgement for judgement in judged(cluster) if bypasses(judgement.flow, {node.name, peer.name}, protocol)
            ]
        verdicts = Counter(judgement.verdict.value for judgement in led)
        total += verdicts
        print(f"{version:7} {name:22} {protocol or 'all':5} {dict(verdicts)}", flush=True)
    print(f"{total.total()} flows went another way: {total[Verdict.ENCRYPTED.value]} called encrypted; {dict(total)}")
    return total[Verdict.ENCRYPTED.value]


def _healthy(least: int) -> int:
    total: Counter[str] = Counter()
    began = time.monotonic()
    for version in VERSIONS:
        with busy_lab(version) as cluster:
            part: Counter[str] = Counter()
            while part.total() < least / len(VERSIONS):
                part += Counter(judgement.verdict.value for judgement in judged(cluster) if whole(judgement.flow))
            total += part
    seconds = time.monotonic() - began
    others = total.total() - total[Verdict.ENCRYPTED.value]
    print(f"{total.total()} healthy flows in {seconds:.0f} s: {others} called anything but encrypted; {dict(total)}")
    return others


if __name__ == "__main__":
    sys.exit(main())
