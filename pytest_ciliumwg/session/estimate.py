"""How large a run will be, from its flows: what is counted, and what is estimated and says so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pytest_ciliumwg.agent.traffic.sender import LONGEST
from pytest_ciliumwg.model.traffic import Flow
from pytest_ciliumwg.watch.one_shot import CONTROL_SECONDS, FIRST_SECONDS, FLOW_SECONDS, INTERVAL, patience_for

_OVERHEAD = 80
"""Bytes around the payload of a packet: the inner headers of IP and UDP or ICMP, and WireGuard's own 32 with its outer
ones, without those of Ethernet."""
_PER_NODE, _ALWAYS = 36, 60
"""Calls of an API server for one stage, measured with 3 to 200 nodes: pairs take none of their own."""


def estimate(flows: Sequence[Flow], nodes: int, mtu: int, *, by_api: bool) -> Iterator[str]:
    """The size of one stage, line by line.

    Args:
        flows: Its planned flows.
        nodes: How many nodes are under test.
        mtu: Of the pods' routes.
        by_api: Whether agents are reached through an API server.
    """
    pairs = {flow.pair for flow in flows if flow.purpose == "pair"}
    in_all = nodes * (nodes - 1)
    left_out = f": {in_all - len(pairs):,} are not tested, and the verdict says so" if len(pairs) < in_all else ""
    yield f"pairs tested: {len(pairs):,} of {in_all:,}{left_out}"
    messages = 2 * sum(flow.count for flow in flows)
    payload = 2 * sum(flow.count * flow.payload_size for flow in flows)
    packets = 2 * sum(flow.count * math.ceil(flow.payload_size / mtu) for flow in flows)
    yield f"messages of these flows, requests and answers: {messages:,} with {payload:,} bytes of payload"
    yield f"bytes between nodes (estimate): {payload + packets * _OVERHEAD:,}, without what TCP and handshakes add"
    if by_api:
        yield f"calls of the API server (estimate): {_PER_NODE * nodes + _ALWAYS:,} for each stage"
    longest = max((flow.count for flow in flows), default=0) * INTERVAL
    most = 2 * CONTROL_SECONDS + (FIRST_SECONDS + FLOW_SECONDS) * patience_for(flows, 1.0)
    yield (
        f"seconds of the flows (estimate): {longest:.1f} if all is answered at once, at most {most:.0f} where answers "
        f"are missing, {LONGEST * most:.0f} where they come late; without making and reading the cluster"
    )
