"""What the watches of a run look for: everywhere all canaries, on each node its own flows and pods' addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.model.traffic import Flow


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flows of a run, by the nodes at their ends.

    A watch finds other nodes' flows too: a canary tells whose it is. A frame without one has an address of a test pod
    at either end, so the watches of both nodes find it by their own pods' addresses. So a request is as long as there
    are nodes, not pairs of nodes.
    """

    by_node: Mapping[str, Sequence[Flow]]
    exclusive: Sequence[str]
    """The addresses of test pods. Our flows alone use them, so a frame that has one is ours even without a canary; a
    node's addresses carry other traffic too."""
    own_by_node: Mapping[str, Collection[str]]
    """Of these, those on each node."""
    headers: bool
    """Whether some messages are too short for a canary."""

    @classmethod
    def of(cls, flows: Iterable[Flow]) -> Wanted:
        """What is to be looked for with these flows."""
        by_node: dict[str, list[Flow]] = {}
        ours: dict[str, set[str]] = {}
        headers = False
        for flow in flows:
            for node in dict.fromkeys(flow.pair):
                by_node.setdefault(node, []).append(flow)
            if flow.path == "pod-to-pod":
                for node, address in zip(flow.pair, (flow.source, flow.destination), strict=True):
                    ours.setdefault(node, set()).add(str(address))
            headers = headers or flow.payload_size < canary.WHOLE_WITHIN
        return cls(by_node, sorted(set().union(*ours.values())), ours, headers)

    def own(self, node: str) -> list[str]:
        """The addresses of a node's own test pods."""
        return sorted(self.own_by_node.get(node, ()))

    def rows(self, node: str) -> list[list[Any]]:
        """A node's flows, as its agent is told of them."""
        return [
            [flow.id, flow.protocol.value, str(flow.source), str(address), port]
            for flow in self.by_node.get(node, ())
            for address, port in _servers(flow)
        ]


def _servers(flow: Flow) -> list[tuple[IPAddress, int]]:
    """Where a flow goes, and where it is led to if that is at another port."""
    led = [(flow.served_at, flow.served_port)] if flow.served_at and flow.served_port else []
    return [(flow.destination, flow.port), *led]
