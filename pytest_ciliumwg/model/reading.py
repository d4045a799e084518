"""The cluster from the inside at one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_ciliumwg.model.cluster import Node, Pod, ingress_ends
from pytest_ciliumwg.model.node_state import NodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the API showed and every node under test had, at one time."""

    nodes: tuple[Node, ...]
    """As they were published."""
    states: Mapping[str, NodeState]
    pods_before: frozenset[Pod]
    pods_after: frozenset[Pod]
    """The pods just before and just after the states were read: pods come and go meanwhile."""

    @property
    def pods(self) -> frozenset[Pod]:
        """The pods that were there all the time, with the same addresses."""
        return self.pods_before & self.pods_after

    @property
    def ends(self) -> frozenset[Pod]:
        """These pods, and what Ingress and Gateways send from."""
        return self.pods | ingress_ends(self.nodes)
