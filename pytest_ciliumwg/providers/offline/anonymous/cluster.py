"""A record that tells no real name or address: it stands in front of the one that was handed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Protocol

from pytest_ciliumwg.errors import CiliumwgError
from pytest_ciliumwg.model.agent_history import AgentHistory
from pytest_ciliumwg.model.cluster import CiliumConfig, Member, Node, Pod
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.providers.offline.anonymous.addresses import Addresses
from pytest_ciliumwg.providers.offline.anonymous.model import AnonymousModel
from pytest_ciliumwg.providers.offline.anonymous.names import Names
from pytest_ciliumwg.providers.offline.gone import GoneCluster
from pytest_ciliumwg.providers.recorded import Recorded


class Real(Recorded, Protocol):
    """What is needed of the record that was handed in."""

    @property
    def description(self) -> Sequence[str]:
        """Lines for the report header."""
        ...

    @property
    def declared(self) -> CiliumConfig:
        """The configuration that is expected."""
        ...

    def actual_config(self) -> CiliumConfig:
        """The configuration that most of its nodes had."""
        ...

    def node_configs(self) -> Mapping[str, CiliumConfig]:
        """Node → the configuration that its Cilium ran with."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that ran Cilium."""
        ...

    def members(self) -> tuple[Member, ...]:
        """All nodes of the cluster."""
        ...

    def pods(self) -> tuple[Pod, ...]:
        """Every pod with addresses of its own."""
        ...

    def other_names(self) -> Mapping[str, Sequence[str]]:
        """Kind → names that are in sentences, and are none of nodes or of pods with addresses of their own."""
        ...


class AnonymousCluster(GoneCluster):
    """The record, with other names and addresses."""

    def __init__(self, real: Real) -> None:
        self._real = real
        nodes = [*(node.name for node in real.nodes()), *(member.name for member in real.members())]
        strangers = (pod for member in real.members() for pod in member.unmanaged or ())
        pods = ((pod.namespace, pod.name) for pod in (*real.pods(), *strangers))
        addresses = Addresses()
        self._names = Names(addresses, nodes, pods, real.other_names())
        self._model = AnonymousModel(addresses, self._names)

    @property
    def description(self) -> Sequence[str]:
        """What the record says of itself."""
        return [*map(self._names.text, self._real.description), "anonymised: no name or address is a real one"]

    @property
    def declared(self) -> CiliumConfig:
        """The configuration that is expected."""
        with self._errors():
            return self._model.of(self._real.declared)

    def actual_config(self) -> CiliumConfig:
        """The configuration that most of its nodes had."""
        with self._errors():
            return self._model.of(self._real.actual_config())

    def node_configs(self) -> Mapping[str, CiliumConfig]:
        """Node → the configuration that its Cilium ran with."""
        with self._errors():
            return self._model.by_node(self._real.node_configs())

    @property
    def changes(self) -> Sequence[str]:
        """The changes that the run made."""
        return self._real.changes

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that ran Cilium."""
        return self._model.of(self._real.nodes())

    def tested(self) -> Sequence[str]:
        """Those that are judged."""
        return [self._names.node(name) for name in self._real.tested()]

    def members(self) -> tuple[Member, ...]:
        """All nodes of the cluster."""
        return self._model.of(self._real.members())

    def pods(self) -> tuple[Pod, ...]:
        """Every pod with addresses of its own."""
        return self._model.of(self._real.pods())

    def state(self, node: str) -> NodeState:
        """One node from the inside."""
        return self.reading().states[node]

    def missing(self, what: str) -> str:
        """Why the record does not tell of `nodes`, `pods` or `members`; empty where it does."""
        return self._names.text(self._real.missing(what))

    @property
    def problems(self) -> Sequence[str]:
        """What could not be read of it, or fits nothing else in it."""
        return [self._names.text(problem) for problem in self._real.problems]

    @property
    def untold(self) -> Sequence[str]:
        """What its captures do not tell of themselves."""
        return [self._names.text(untold) for untold in self._real.untold]

    @property
    def agents(self) -> Mapping[str, AgentHistory]:
        """Node → what became of its agent."""
        text = self._names.text
        return {
            self._names.node(node): replace(told, lines=tuple(map(text, told.lines)))
            for node, told in self._real.agents.items()
        }

    def reading(self) -> Reading:
        """The cluster from the inside."""
        return self._reading

    def captured(self) -> Measurement:
        """What its captures show, or what a run saw of its flows."""
        return self._captured

    @cached_property
    def _reading(self) -> Reading:
        with self._errors():
            return self._model.of(self._real.reading())

    @cached_property
    def _captured(self) -> Measurement:
        with self._errors():
            return self._model.of(self._real.captured())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Let what cannot be told be said without real names too."""
        try:
            yield
        except CiliumwgError as error:
            raise type(error)(self._names.text(str(error))) from None
