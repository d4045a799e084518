"""Where flows were served of which nobody knew that before: by one of several pods behind a Service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_ciliumwg.model.traffic import Flow
from pytest_ciliumwg.model.watch import WatchReport


def located(flows: Sequence[Flow], watches: Mapping[str, WatchReport]) -> tuple[Flow, ...]:
    """The flows with the nodes that served them, as far as the watches tell.

    Where no other node saw anything of a flow, and one of the pods is on its sender's own node, that one has answered:
    nothing left the node, and the flow is left out.
    """
    return tuple(found for flow in flows if (found := _located(flow, watches)) is not None)


def _located(flow: Flow, watches: Mapping[str, WatchReport]) -> Flow | None:
    if not flow.served_by:
        return flow
    others = [node for node in flow.served_by if node != flow.source_node]
    served = next((node for node in others if node in watches and any(_arrived(flow, watches[node]))), None)
    if served is not None:
        return replace(flow, destination_node=served)
    return None if flow.source_node in flow.served_by and not _left(flow, watches) else flow


def _arrived(flow: Flow, watch: WatchReport) -> Iterator[bool]:
    """Whether something of it came out of the tunnel, or was seen on a native device."""
    if watch.inside is not None:
        yield (flow.id, False) in watch.inside.passages
    yield any(seen.flow == flow.id for seen in watch.sightings)


def _left(flow: Flow, watches: Mapping[str, WatchReport]) -> bool:
    """Whether its own node saw it go anywhere, or saw too little to tell."""
    watch = watches.get(flow.source_node)
    if watch is None or watch.inside is None or watch.inside.missed:
        return True
    return (flow.id, True) in watch.inside.passages or any(seen.flow == flow.id for seen in watch.sightings)
