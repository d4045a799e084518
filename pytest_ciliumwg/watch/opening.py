"""A continuous watch over all nodes under test, from what is known of them now."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_ciliumwg.flows.continuous import RATE
from pytest_ciliumwg.model.node_state import NodeState, machines
from pytest_ciliumwg.providers.base import Cluster, Progress
from pytest_ciliumwg.watch.continuous import ContinuousWatch


def continuous_watch(
    cluster: Cluster,
    states: Mapping[str, NodeState],
    port: int,
    progress: Progress,
    *,
    rate: float = RATE,
    other_pods: bool = True,
    others: int | None = None,
) -> ContinuousWatch:
    """A watch that is not started yet, on all native devices of these nodes.

    Args:
        cluster: The cluster.
        states: The nodes under test, as they are now.
        port: WireGuard's UDP port.
        progress: Told of every step.
        rate: Messages a second of each flow.
        other_pods: Whether packets between pods that are not test pods are watched too, by their headers.
        others: With how many others each node is paired; None for all.
    """
    devices = {name: [link.name for link in state.native_devices] for name, state in states.items()}
    known = machines(states.values())
    return ContinuousWatch(
        cluster, devices, port, progress, rate=rate, other_pods=other_pods, machines=known, others=others
    )
