"""What one watch over all nodes brought home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.traffic import Delivery, Flow
from pytest_ciliumwg.model.watch import WatchReport


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that went wrong on the way, such as a control canary that could not be sent."""

    node: str
    """The node whose agent it is, or whose pod's."""
    why: str
    """A sentence that says which one."""

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All that one watch brought home."""

    flows: tuple[Flow, ...]
    deliveries: Mapping[int, Delivery]
    """By flow id; every flow has one."""
    watches: Mapping[str, WatchReport]
    """By node; every node has one, if only to say that its watch failed."""
    before: Mapping[str, NodeState]
    """The nodes once the watches stood."""
    last: Reading
    """The cluster once the watches had ended."""
    problems: tuple[Problem, ...]
    dropped_by_policies: Mapping[int, str] = field(default_factory=dict)
    """Flow → the node on which a network policy dropped it."""
    policies: Sequence[str] = ()
    """The network policies that may have done that."""
    pods: frozenset[Pod] = frozenset()
    """The pods, test pods included, that were there with the same addresses before and after the watch."""

    @property
    def after(self) -> Mapping[str, NodeState]:
        """The nodes once the watches had ended."""
        return self.last.states
