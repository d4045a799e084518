"""Which flows go on all the time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod
from pytest_ciliumwg.model.traffic import Flow, Protocol, Purpose

RATE = 20.0
"""Messages a second of each flow."""
SIZE = 128
"""Payload bytes of a message: several canaries, and little for the nodes to encrypt."""
CONNECTION_PACKETS = 10
"""About so many packets a TCP connection with one message takes: flows of new connections have so many times fewer."""
FIRST_PORT = 22000
_KINDS = (
    (Protocol.ICMP, False),
    (Protocol.UDP, False),
    (Protocol.TCP, False),
    (Protocol.UDP, True),
    (Protocol.TCP, True),
)


def lasting_flows(pods: Sequence[Pod], families: Iterable[IPFamily]) -> tuple[Flow, ...]:
    """Every directed pair × family × (ICMP, long-lived UDP and TCP, new UDP and TCP), between test pods."""
    numbers = itertools.count()
    return tuple(
        _flow(next(numbers), "lasting", source, destination, addresses, protocol, fresh=fresh)
        for source, destination in itertools.permutations(pods, 2)
        for family in sorted(families, key=lambda one: one.value)
        if (addresses := _addresses(source, destination, family)) is not None
        for protocol, fresh in _KINDS
    )


def churn_flow(number: int, pod: Pod, destination: Pod, family: IPFamily) -> Flow | None:
    """The UDP flow of a pod that is going to be deleted; None without addresses of the family."""
    addresses = _addresses(pod, destination, family)
    return None if addresses is None else _flow(number, "churn", pod, destination, addresses, Protocol.UDP)


def interval(flow: Flow, rate: float) -> float:
    """Seconds between two messages of a flow."""
    return (CONNECTION_PACKETS if flow.fresh else 1) / rate


def _addresses(source: Pod, destination: Pod, family: IPFamily) -> tuple[IPAddress, IPAddress] | None:
    one, other = source.address(family), destination.address(family)
    return None if one is None or other is None else (one, other)


def _flow(
    number: int,
    purpose: Purpose,
    source: Pod,
    destination: Pod,
    addresses: tuple[IPAddress, IPAddress],
    protocol: Protocol,
    *,
    fresh: bool = False,
) -> Flow:
    return Flow(
        id=number,
        purpose=purpose,
        source_node=source.node,
        destination_node=destination.node,
        source_pod=source.key,
        destination_pod=destination.key,
        source=addresses[0],
        destination=addresses[1],
        protocol=protocol,
        port=FIRST_PORT + number % 38000,
        payload_size=SIZE,
        count=0,
        fresh=fresh,
    )
