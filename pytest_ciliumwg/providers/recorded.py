"""What a cluster is of which there is but a record: it was observed once, by others, and nothing can be sent in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from pytest_ciliumwg.model.agent_history import AgentHistory
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.reading import Reading


@runtime_checkable
class Recorded(Protocol):
    """Such a cluster; it is a `Cluster` too, whose agents and operations refuse."""

    @property
    def problems(self) -> Sequence[str]:
        """What of the record could not be read, or fits nothing else in it, a sentence each."""
        ...

    @property
    def untold(self) -> Sequence[str]:
        """What its captures do not tell of themselves, so that their silence proves nothing; a sentence each."""
        ...

    @property
    def agents(self) -> Mapping[str, AgentHistory]:
        """Node → what became of its agent of Cilium, where the record tells that."""
        ...

    @property
    def changes(self) -> Sequence[str]:
        """The changes that were made to the cluster, of which the record has nothing."""
        ...

    def tested(self) -> Sequence[str]:
        """The nodes that are judged."""
        ...

    def reading(self) -> Reading:
        """The nodes and pods, as the record has them."""
        ...

    def captured(self) -> Measurement:
        """What its captures show, or what a run saw of its flows."""
        ...

    def missing(self, what: str) -> str:
        """Why the record does not tell of `nodes`, `pods` or `members`; empty where it does."""
        ...
