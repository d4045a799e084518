"""Which flows a network policy has dropped: those that ended on a node on which policies denied as many packets.

A policy drops a packet at its pod, before it is encrypted or after it was decrypted. What has gone into the tunnel, or
was seen outside of it, was dropped by none of the sender's node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pytest_ciliumwg.model.traffic import Delivery, Flow
from pytest_ciliumwg.model.watch import WatchReport


def dropped_by_policies(
    flows: Sequence[Flow],
    deliveries: Mapping[int, Delivery],
    watches: Mapping[str, WatchReport],
    drops: Mapping[str, int],
) -> dict[int, str]:
    """Flow → the node on which a policy dropped it.

    Args:
        flows: All flows.
        deliveries: What became of each.
        watches: The watches of all nodes.
        drops: Node → packets that policies denied there meanwhile; nodes that do not tell are missing.
    """
    ended: dict[int, str] = {}
    for flow in flows:
        delivery = deliveries[flow.id]
        node = _ended_on(flow, watches) if not delivery.received and not delivery.unmeasured else None
        if node is not None and drops.get(node):
            ended[flow.id] = node
    least = Counter(ended.values())
    return {flow: node for flow, node in ended.items() if drops[node] >= least[node]}


def _ended_on(flow: Flow, watches: Mapping[str, WatchReport]) -> str | None:
    """The node that the flow's packets reached and did not leave; None where that is not certain."""
    source, destination = (watches[node] for node in flow.pair)
    if not (_sound(source) and _sound(destination)):
        return None
    if not _passed(source, flow.id, "request", outgoing=True):
        return flow.source_node
    if not _passed(destination, flow.id, "request", outgoing=False):
        return None  # it was lost on the way
    if not _passed(destination, flow.id, "reply", outgoing=True):
        return flow.destination_node
    return flow.source_node if _passed(source, flow.id, "reply", outgoing=False) else None


def _sound(watch: WatchReport) -> bool:
    drops = any(device.drops for device in watch.devices.values())
    return not watch.errors and not drops and watch.inside is not None and not watch.inside.missed


def _passed(watch: WatchReport, flow: int, direction: str, *, outgoing: bool) -> bool:
    """Whether packets of a flow left the node, or arrived at it, in the tunnel or outside of it."""
    inside = watch.inside is not None and (flow, outgoing) in watch.inside.passages
    return inside or any(
        (seen.flow, seen.direction, seen.outgoing) == (flow, direction, outgoing) for seen in watch.sightings
    )
