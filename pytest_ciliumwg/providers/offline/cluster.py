"""A cluster of which there is but a record: nothing can be asked of it any more, and nothing is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.agent_history import AgentHistory
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Member, Node, Pod, ingress_ends
from pytest_ciliumwg.model.measurement import Measurement
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.existing.node_observer import state_from, unseen
from pytest_ciliumwg.providers.offline.anonymous.cluster import AnonymousCluster
from pytest_ciliumwg.providers.offline.captures.taken import Captures, Shown
from pytest_ciliumwg.providers.offline.captures.watches import Known
from pytest_ciliumwg.providers.offline.contents import LOOKED_AT, OBSERVED, read_contents
from pytest_ciliumwg.providers.offline.gaps import no_node
from pytest_ciliumwg.providers.offline.gone import GoneCluster
from pytest_ciliumwg.providers.offline.knowledge import Knowledge
from pytest_ciliumwg.providers.offline.node_outputs import NodeOutputs
from pytest_ciliumwg.providers.offline.replayed import ReplayedRun, recorded_run
from pytest_ciliumwg.providers.offline.spec import OfflineSpec

_SHOWN = 5
_FAR = 900.0
"""Seconds between the captures and the look at the nodes, from which on one says nothing of the other."""


class OfflineCluster(GoneCluster):
    """What an input tells of a cluster."""

    def __init__(self, spec: OfflineSpec, progress: Progress) -> None:
        self._spec = spec
        self._captures = Captures()
        self._names = ", ".join(path.name for path in spec.inputs)
        progress(f"offline: reading {f'{len(spec.inputs)} inputs' if spec.anonymise else self._names}")
        contents = read_contents(spec.inputs, self._captures.take)
        self._knowledge = Knowledge(contents)
        self._problems: list[str] = contents.problems
        if len(self._knowledge.nodes) < 2:
            told = "; ".join([*self._problems[:_SHOWN], *self._knowledge.missing.values()])
            raise ProviderError(
                f"{self._names} tells of {len(self._knowledge.nodes)} nodes, and traffic between nodes needs 2: hand "
                f"in a `cilium sysdump` or what `pytest-ciliumwg collect` writes{f' ({told})' if told else ''}"
            )

    @property
    def description(self) -> Sequence[str]:
        """What was handed in, whose captures were found out, and what was not declared but taken as found."""
        told = self._shown.told
        assumed = ", ".join(self._spec.declared.assumed())
        nodes, captures = len(self._knowledge.nodes), len(self._captures)
        lines = [f"offline: the record of a cluster of {nodes} nodes, with {captures} captures", *told]
        return [*lines, f"not declared, taken as found: {assumed}"] if assumed else lines

    @property
    def declared(self) -> CiliumConfig:
        """The configuration that is expected: encryption is on, even if the record says otherwise."""
        return self._spec.declared.over(self._found)

    @cached_property
    def _found(self) -> CiliumConfig:
        """What the record says of Cilium; where it says nothing, what was declared.

        Raises:
            ProviderError: neither says which version it is.
        """
        try:
            return self.actual_config()
        except ObservationError as error:
            declared = self._spec.declared
            if declared.version is None:
                raise ProviderError(f"{error}; or say with --ciliumwg-cilium-version which one it was") from None
            families = declared.families or frozenset(
                IPFamily.of(ip) for node in self._knowledge.nodes for ip in node.addresses
            )
            return CiliumConfig(version=declared.version, encryption=True, families=families)

    def actual_config(self) -> CiliumConfig:
        """The configuration that the cluster had; where its nodes differ, what most of them had.

        Raises:
            ObservationError: the record does not tell.
        """
        return Counter(self.node_configs().values()).most_common(1)[0][0]

    def node_configs(self) -> Mapping[str, CiliumConfig]:
        """Node → the configuration that its Cilium ran with.

        Raises:
            ObservationError: the record does not tell.
        """
        return self._knowledge.configs(self._spec.declared.version)

    def nodes(self) -> tuple[Node, ...]:
        """All nodes that ran Cilium."""
        return self._knowledge.nodes

    def tested(self) -> Sequence[str]:
        """All of them."""
        return [node.name for node in self._knowledge.nodes]

    def members(self) -> tuple[Member, ...]:
        """All nodes of the cluster."""
        return self._knowledge.members()

    def pods(self) -> tuple[Pod, ...]:
        """Every pod with addresses of its own."""
        return tuple(sorted(self._knowledge.pods, key=lambda pod: pod.key))

    def state(self, node: str) -> NodeState:
        """One node from the inside, as it was."""
        outputs = self._knowledge.outputs.get(node)
        published = next(known for known in self._knowledge.nodes if known.name == node)
        others = [known for known in self._knowledge.nodes if known.name != node]
        families = self._found.families
        if outputs is None:
            return unseen(node, no_node(node))
        if OBSERVED in outputs:
            return state_from(outputs[OBSERVED], published, others, families)
        at = float(outputs.get(LOOKED_AT, self._knowledge.collected_at))
        return NodeOutputs(node, outputs, at).state(published, others, families)

    def other_names(self) -> Mapping[str, Sequence[str]]:
        """Of files, folders, machines and pods without addresses of their own."""
        contents = self._knowledge.contents
        places = [part for place in contents.outputs for part in place.split("/")]
        return {
            "input": [path.name for path in self._spec.inputs],
            "capture": self._captures.names(),
            "folder": [place for place in contents.outputs if place],
            "part": places,
            "other-pod": [facts.name for facts in self._knowledge.pod_facts],
            "host": [outputs["hostname"].strip() for outputs in contents.outputs.values() if "hostname" in outputs],
        }

    def missing(self, what: str) -> str:
        """Why the record does not tell of `nodes`, `pods` or `members`; empty where it does."""
        _ = self._knowledge.nodes, self._knowledge.pods, self._knowledge.members()
        return self._knowledge.missing.get(what, "")

    @property
    def problems(self) -> Sequence[str]:
        """What could not be read of what was handed in, or fits nothing else in it, a sentence each."""
        _ = self._shown, self._knowledge.outputs
        found = [*self._problems, *self._knowledge.problems]
        versions = Counter(self._knowledge.versions().values())
        if len(versions) > 1:
            each = ", ".join(f"{version} on {count} nodes" for version, count in versions.items())
            found.append(
                f"the nodes ran different versions of Cilium ({each}): {self._found.version} is expected of all"
            )
        return tuple(dict.fromkeys(found))

    @property
    def untold(self) -> Sequence[str]:
        """What the captures do not tell of themselves, a sentence each."""
        return [*self._shown.untold, *self._far_from_the_look()]

    def _far_from_the_look(self) -> Iterator[str]:
        """That captures are of another time than the state, of nodes whose clocks tell when they were looked at."""
        outputs = self._knowledge.outputs
        nodes = [node for node, known in outputs.items() if OBSERVED in known or LOOKED_AT in known]
        looked = [self._states[node].observed_at for node in nodes]
        watches = [watch for watch in self._shown.watches.values() if watch.stopped]
        if looked and watches:
            later = min(watch.started for watch in watches) - max(looked)
            earlier = min(looked) - max(watch.stopped for watch in watches)
            if max(later, earlier) > _FAR:
                apart = f"{max(later, earlier) / 60:.0f} minutes {'after' if later > 0 else 'before'}"
                yield (
                    f"the captures were taken {apart} the nodes were looked at, or clocks differ: what the nodes were "
                    "like then is not known"
                )

    @property
    def agents(self) -> Mapping[str, AgentHistory]:
        """Node → what became of its agent."""
        return self._knowledge.agents

    @cached_property
    def _states(self) -> Mapping[str, NodeState]:
        return {node.name: self.state(node.name) for node in self._knowledge.nodes}

    @cached_property
    def _shown(self) -> Shown:
        knowledge = self._knowledge
        known = Known(
            nodes=knowledge.nodes,
            pods=knowledge.pods | ingress_ends(knowledge.nodes),
            since=knowledge.since,
            port=expectations_for(self.declared).listen_port,
            families=self._found.families,
            tunnelled=self._found.routing_mode != "native",
        )
        return self._captures.watches(known, self._states, knowledge.contents.names, self._problems)

    def reading(self) -> Reading:
        """What the record shows."""
        pods = self._knowledge.pods
        return Reading(nodes=self._knowledge.nodes, states=self._states, pods_before=pods, pods_after=pods)

    def captured(self) -> Measurement:
        """What the captures show, without any flow of ours."""
        return Measurement(
            flows=(),
            deliveries={},
            watches=self._shown.watches,
            before=self._states,
            last=self.reading(),
            problems=(),
            pods=self.reading().ends,
        )


def open_offline(spec: OfflineSpec, progress: Progress) -> OfflineCluster | ReplayedRun | AnonymousCluster:
    """Read what was handed in.

    Raises:
        ProviderError: it is no record of a cluster.
    """
    runs = [found for path in spec.inputs if (found := recorded_run(path))]
    if runs and len(spec.inputs) > 1:
        raise ProviderError(f"{runs[0]} is the record of a whole run: judge it by itself")
    real = ReplayedRun(runs[0], spec) if runs else OfflineCluster(spec, progress)
    return AnonymousCluster(real) if spec.anonymise else real
