"""What running Cilium agents tell of themselves: their version, and the configuration that they run with.

Both stay as they are as long as an agent's container runs, so each container is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.observe.cilium import version_from_agent
from pytest_ciliumwg.observe.debuginfo import settings_from_debuginfo
from pytest_ciliumwg.providers.existing.agent_pods import RunningAgent
from pytest_ciliumwg.providers.existing.agent_tool import ask_agent
from pytest_ciliumwg.providers.existing.names import Names
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.remote import Place
from pytest_ciliumwg.waiting import for_each

EXEC_SECONDS = 60.0
CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Told:
    """What one agent tells."""

    version: str
    settings: Mapping[str, str]
    """In the words of the ConfigMap cilium-config; empty where the agent does not tell."""


class AgentsTold:
    """Asks agents, and remembers what those whose containers still run have told."""

    def __init__(self, kube: Kube, names: Names) -> None:
        self._kube = kube
        self._names = names
        self._known: dict[tuple[str, float | None], Told] = {}

    def of(self, agents: Mapping[str, RunningAgent]) -> dict[str, Told]:
        """Node → what its agent tells.

        Raises:
            ProviderError: the version of one cannot be read.
        """
        strangers = [agent for agent in agents.values() if _container(agent) not in self._known]
        told = for_each(self._ask, strangers, at_once=CONCURRENCY)
        asked = dict(zip(map(_container, strangers), told, strict=True))
        found = {node: (asked | self._known)[_container(agent)] for node, agent in agents.items()}
        self._known = {container: told for container, told in (self._known | asked).items() if container[1] is not None}
        return found

    def version_at(self, pod: str) -> str:
        """The version that an agent tells now.

        Raises:
            ProviderError: it does not.
        """
        place = self._place(pod)
        try:
            return version_from_agent(self._run(place, "version", "-o", "json"))
        except ObservationError as error:
            raise ProviderError(f"the version of the Cilium agent in {place} cannot be read: {error}") from None

    def _ask(self, agent: RunningAgent) -> Told:
        version = self.version_at(agent.pod.name)
        try:
            text = self._run(self._place(agent.pod.name), "debuginfo", "--output", "json")
            return Told(version, settings_from_debuginfo(text))
        except (ObservationError, ProviderError):
            return Told(version, {})  # the ConfigMap is the best that is left

    def _place(self, pod: str) -> Place:
        return Place(self._names.namespace, pod, self._names.container)

    def _run(self, place: Place, *question: str) -> str:
        done = ask_agent(self._kube, place, *question, timeout=EXEC_SECONDS)
        if done.status != 0:
            raise ObservationError(done.complaint)
        return done.output


def _container(agent: RunningAgent) -> tuple[str, float | None]:
    """What tells an agent's container from the one before it."""
    return agent.uid, agent.pod.started_at
