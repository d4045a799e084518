"""Cilium's agent pods as they come and go: which one is a node's, since when, and of which version. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.model.timeline import AgentPod
from pytest_ciliumwg.observe.kubernetes import PodFacts, pod_facts

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAgent:
    """One agent pod."""

    node: str
    uid: str
    """Differs between two pods, even of the same name."""
    pod: AgentPod
    trouble: str
    """Why it is not well; empty when it is."""
    ending: bool
    """Whether it was deleted and is about to go."""
    created: str
    """As the API writes times, which sort as text."""


def agents_of(pods: Iterable[Object], container: str) -> dict[str, RunningAgent]:
    """Node → its agent: of several, such as during an upgrade, one that stays, then one that is ready, then the newest.

    Args:
        pods: The agents' pods.
        container: What the agent's container is called in them.

    Raises:
        ProviderError: a pod is not understood.
    """
    found: dict[str, RunningAgent] = {}
    for agent in (_agent(pod, container) for pod in pods):
        if agent is not None and (agent.node not in found or _rank(agent) > _rank(found[agent.node])):
            found[agent.node] = agent
    return found


def _rank(agent: RunningAgent) -> tuple[bool, bool, str]:
    return (not agent.ending, agent.pod.ready, agent.created)


def _agent(raw: Object, name: str) -> RunningAgent | None:
    """None for a pod that is on no node yet."""
    try:
        facts = pod_facts(raw)
    except ObservationError as error:
        raise ProviderError(f"a Cilium agent pod cannot be understood: {error}") from None
    if facts.node is None:
        return None
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    ending = bool(metadata.get("deletionTimestamp"))
    container = _named(status.get("containerStatuses"), name)
    started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
    pod = AgentPod(
        name=facts.name,
        ready=facts.ready and not ending,
        started_at=_seconds(started),
        image=str(_named(spec.get("containers"), name).get("image") or container.get("image") or ""),
        digest=_digest(str(container.get("imageID") or "")),
        restarts=int(container.get("restartCount") or 0),
    )
    return RunningAgent(
        node=facts.node,
        uid=str(metadata.get("uid") or facts.name),
        pod=pod,
        trouble="its pod is being deleted" if ending else trouble_of(facts),
        ending=ending,
        created=str(metadata.get("creationTimestamp") or ""),
    )


def ages(agents: Iterable[AgentPod]) -> list[str]:
    """A line that says since when agents run, and which were restarted how often."""
    agents = list(agents)
    starts = [agent.started_at for agent in agents if agent.started_at is not None]
    if not starts:
        return []
    when = " to ".join(dict.fromkeys(map(_as_minute, (min(starts), max(starts)))))
    restarted = ", ".join(f"{agent.name} {agent.restarts} times" for agent in agents if agent.restarts)
    return [f"Cilium's agents started {when} UTC; restarted in place: {restarted or 'none'}"]


def images(agents: Iterable[AgentPod]) -> list[str]:
    """A line for each image that agents run, by its digest, and on how many nodes; all that is known without one."""
    found = Counter(agent.digest or agent.image for agent in agents)
    return [
        f"Cilium's image on {count} {'node' if count == 1 else 'nodes'}: {image}"
        for image, count in found.items()
        if image
    ]


def _digest(image_id: str) -> str:
    """An `imageID` without the runtime's scheme; empty for one that no registry knows."""
    return image_id.rpartition("://")[2] if "@sha256:" in image_id else ""


def _as_minute(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


def _named(containers: Iterable[Object] | None, name: str) -> Object:
    return next((container for container in containers or () if container.get("name") == name), {})


def _seconds(moment: str | None) -> float | None:
    """Seconds since the epoch; None where the text is no time."""
    try:
        return datetime.fromisoformat(moment).timestamp() if moment else None
    except ValueError:
        return None


def trouble_of(facts: PodFacts) -> str:
    """Why an agent pod is not well, empty when it is."""
    if facts.waiting:
        return ", ".join(facts.waiting)
    if facts.phase != "Running":
        return f"its pod {facts.name} is {facts.phase}"
    return "" if facts.ready else f"its pod {facts.name} is running, but not ready"
