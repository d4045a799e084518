"""Which flows a continuous watch sends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_ciliumwg.flows.pairs import chosen_pairs
from pytest_ciliumwg.flows.plan import pod_flow, with_next
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPFamily, Pod, sorted_families
from pytest_ciliumwg.model.traffic import Flow, Protocol

RATE = 20.0
"""Messages a second of each flow."""
SIZE = 128
"""Payload bytes of a message: several canaries, and little for the nodes to encrypt."""
CONNECTION_PACKETS = 10
"""About so many packets a TCP connection with one message takes: flows of new connections have so many times fewer."""
ENDLESS = 0
"""As the count of a flow's messages: it sends until it is stopped."""
_KINDS = (
    (Protocol.ICMP, False),
    (Protocol.UDP, False),
    (Protocol.TCP, False),
    (Protocol.UDP, True),
    (Protocol.TCP, True),
)


def continuous_flows(
    pods: Sequence[Pod], families: Iterable[IPFamily], numbers: FlowNumbers, others: int | None = None
) -> tuple[Flow, ...]:
    """Every directed pair × family × (ICMP, long-lived UDP and TCP, new UDP and TCP), between test pods.

    With `others`, only the pairs of a sample (see `chosen_pairs`).
    """
    return tuple(
        replace(pod_flow(numbers, "continuous", source, destination, family, protocol, SIZE, ENDLESS), fresh=fresh)
        for source, destination in chosen_pairs(pods, others)
        for family in _common(families, source, destination)
        for protocol, fresh in _KINDS
    )


def churn_flows(pods: Sequence[Pod], families: Iterable[IPFamily], numbers: FlowNumbers) -> tuple[Flow, ...]:
    """From each node to the next one a UDP flow of each family, for pods that are deleted while they send."""
    return tuple(
        pod_flow(numbers, "churn", source, destination, family, Protocol.UDP, SIZE, ENDLESS)
        for source, destination in with_next(pods)
        for family in _common(families, source, destination)
    )


def interval(flow: Flow, rate: float) -> float:
    """Seconds between two messages of a flow."""
    return (CONNECTION_PACKETS if flow.fresh else 1) / rate


def _common(families: Iterable[IPFamily], *pods: Pod) -> list[IPFamily]:
    """The families of which all these pods have addresses."""
    return [family for family in sorted_families(families) if all(pod.address(family) for pod in pods)]
