"""A run that is judged again: all that it saw is in its report."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.model.agent_history import AgentHistory
from pytest_ciliumwg.model.cluster import CiliumConfig, Member, Node, Pod
from pytest_ciliumwg.model.codec import decode
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.recording import FORMAT, NAME, Recording
from pytest_ciliumwg.providers.offline.gone import GoneCluster
from pytest_ciliumwg.providers.offline.spec import OfflineSpec


def recorded_run(path: Path) -> Path | None:
    """Where a run's record is, if a path leads to one: the file, or the report that has it."""
    found = path / NAME if path.is_dir() else path
    return found if found.name == NAME and found.is_file() else None


class ReplayedRun(GoneCluster):
    """What a run saw of its cluster."""

    def __init__(self, path: Path, spec: OfflineSpec) -> None:
        self._spec = spec
        self._recording = _read(path)

    @property
    def description(self) -> Sequence[str]:
        """What the run said of its cluster."""
        told = [f"offline: what a run with the provider {self._recording.provider} saw"]
        if self.changes:
            told.append(f"not in its record: what was seen while something was changed ({', '.join(self.changes)})")
        return told if self._spec.anonymise else [*told, *self._recording.description]

    @property
    def changes(self) -> Sequence[str]:
        """The changes that the run made, or tried to."""
        return self._recording.changes

    @property
    def declared(self) -> CiliumConfig:
        """What was declared for the run, and what is declared now instead."""
        return replace(self._recording.declared, **self._spec.declared.given())

    def actual_config(self) -> CiliumConfig:
        """The configuration that most of its nodes had.

        Raises:
            ObservationError: the run did not ask for it.
        """
        return Counter(self.node_configs().values()).most_common(1)[0][0]

    def node_configs(self) -> Mapping[str, CiliumConfig]:
        """Node → the configuration that its Cilium ran with.

        Raises:
            ObservationError: the run did not ask for it.
        """
        if not self._recording.configs:
            raise ObservationError("the run that is judged again did not read Cilium's configuration: it ran in part")
        return self._recording.configs

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that ran Cilium."""
        return self._recording.first.nodes

    def tested(self) -> Sequence[str]:
        """Those that were under test."""
        return list(self._recording.first.states)

    def members(self) -> tuple[Member, ...]:
        """All nodes of the cluster."""
        return self._recording.members

    def pods(self) -> tuple[Pod, ...]:
        """Every pod with addresses of its own."""
        return tuple(sorted(self._recording.first.pods, key=lambda pod: pod.key))

    def state(self, node: str) -> NodeState:
        """One node from the inside, as it was before the flows."""
        return self._recording.first.states[node]

    def other_names(self) -> Mapping[str, Sequence[str]]:
        """None are said."""
        return {}

    def missing(self, what: str) -> str:
        """Nothing is."""
        del what
        return ""

    @property
    def problems(self) -> Sequence[str]:
        """None: it was read as a whole."""
        return ()

    @property
    def untold(self) -> Sequence[str]:
        """Nothing: its watches counted what was dropped."""
        return ()

    @property
    def agents(self) -> Mapping[str, AgentHistory]:
        """Nothing is told of them."""
        return {}

    def reading(self) -> Reading:
        """The cluster before the flows."""
        return self._recording.first

    def captured(self) -> Measurement:
        """The flows, and all that was seen of them.

        Raises:
            ProviderError: the run did not get to send any.
        """
        if self._recording.measurement is None:
            raise ProviderError("the run that is judged again sent no flows")
        return self._recording.measurement


def _read(path: Path) -> Recording:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            raw = json.load(file)
        if raw.get("format") == 1:
            return decode(Recording, {"value": raw, "shared": {}})
        if raw.get("format") != FORMAT:
            raise ProviderError(f"{path} has format {raw.get('format')}, and this version reads {FORMAT}: update it")
        return decode(Recording, raw["recording"])
    except (OSError, EOFError, zlib.error, ValueError, KeyError, AttributeError) as error:
        raise ProviderError(f"{path} is no whole record of a run ({error})") from None
