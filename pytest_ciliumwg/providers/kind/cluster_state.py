"""Ask the new cluster with kubectl until Cilium is ready and encrypts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ciliumwg.errors import ObservationError, ProviderError
from pytest_ciliumwg.observe.cilium import encryption_from_status_json
from pytest_ciliumwg.observe.kubernetes import PodFacts, node_facts, pod_facts
from pytest_ciliumwg.providers.base import Progress
from pytest_ciliumwg.providers.existing.agent_tool import AGENT_TOOL
from pytest_ciliumwg.providers.existing.images import ImageTrouble, image_troubles
from pytest_ciliumwg.providers.existing.names import AGENT_CONTAINER, AGENT_LABELS
from pytest_ciliumwg.providers.kind.spec import NAMESPACE, KindSpec
from pytest_ciliumwg.providers.programs import QUICK_SECONDS, Done, reason, run
from pytest_ciliumwg.waiting import wait_for

_CRASHING_SECONDS = 90.0
_PULLING_SECONDS = 45.0
"""How long an image may fail to be pulled, where the reason may pass: a kubelet has tried three times by then."""
_FATAL = ("level=fatal", "level=error", "Error")


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the cluster's own kubeconfig."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, timeout: float = QUICK_SECONDS) -> Done:
        """Run one command."""
        return run([self.program, "--kubeconfig", self.kubeconfig, *arguments], timeout=timeout)

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects that `get` lists.

        Raises:
            ObservationError: it failed, or its output is not understood.
        """
        done = self.run("get", *arguments, "-o", "json")
        try:
            found: list[dict[str, Any]] = json.loads(done.output)["items"] if done.ok else []
        except (ValueError, KeyError, TypeError):
            raise ObservationError(f"the output of `{done.command}` is not understood") from None
        if not done.ok:
            raise ObservationError(f"the API server does not answer: {reason(done, QUICK_SECONDS)}")
        return found

    def pods(self) -> list[dict[str, Any]]:
        """The pods of the namespace that Cilium is in."""
        return self.items("pods", "--namespace", NAMESPACE)

    def agents(self) -> list[PodFacts]:
        """Cilium's agent pods."""
        return agents_among(self.pods())

    def in_agent(self, pod: str, command: str) -> Done:
        """Run a command of the agent's tool in an agent pod."""
        script = f"{AGENT_TOOL}\nagent {command}"
        return self.run("--namespace", NAMESPACE, "exec", pod, "-c", AGENT_CONTAINER, "--", "sh", "-c", script)


def agents_among(pods: Iterable[Mapping[str, Any]]) -> list[PodFacts]:
    """Those of the namespace's pods that are Cilium's agents."""
    wanted = AGENT_LABELS.items()
    return [pod_facts(pod) for pod in pods if wanted <= (pod["metadata"].get("labels") or {}).items()]


def await_cilium(kubectl: Kubectl, spec: KindSpec, progress: Progress) -> None:
    """Wait until every agent is ready, every node is, and every node has all its peers.

    A Cilium that reports encryption as off is not waited for: the suite has a check for that.

    Raises:
        ProviderError: time is up, an agent crashes again and again, or a node has not an image; with the reason that
            was seen last.
    """
    crashing = pulling = 0.0

    def missing() -> str:
        nonlocal crashing, pulling
        obstacle = _obstacle(kubectl, spec.nodes)
        if obstacle is None:
            return ""
        image = obstacle.image
        pulling = (pulling or time.monotonic()) if image else 0.0
        if image and (image.permanent or time.monotonic() - pulling > min(_PULLING_SECONDS, spec.timeout)):
            raise ProviderError(
                f"Cilium cannot start: {obstacle.why}; load it with --ciliumwg-load-image, or let the nodes reach its "
                "registry"
            )
        crashing = (crashing or time.monotonic()) if obstacle.crashing else 0.0
        if crashing and time.monotonic() - crashing > min(_CRASHING_SECONDS, spec.timeout):
            raise ProviderError(f"Cilium does not start: {obstacle.why}{_last_output(kubectl)}")
        return obstacle.why

    why = wait_for(
        missing,
        seconds=spec.timeout,
        poll=spec.poll,
        progress=progress,
        doing="kind: waiting for Cilium: ",
    )
    if why:
        raise ProviderError(f"Cilium is not ready after {spec.timeout:g} s: {why}")
    progress(f"kind: Cilium runs on {spec.nodes} nodes")


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Something that is still missing."""

    why: str
    crashing: bool = False
    """Whether it is an agent that Kubernetes has given up restarting at once."""
    image: ImageTrouble | None = None
    """The image that its node has not, if that is it."""


def _obstacle(kubectl: Kubectl, nodes: int) -> _Obstacle | None:
    """The first thing that is still missing; None when nothing is."""
    try:
        return next(_obstacles(kubectl, nodes), None)
    except ObservationError as error:
        return _Obstacle(str(error))


def _obstacles(kubectl: Kubectl, nodes: int) -> Iterator[_Obstacle]:
    pods = kubectl.pods()
    for pod in pods:
        for trouble in image_troubles(pod):
            where = f"{pod['metadata']['name']} on {(pod.get('spec') or {}).get('nodeName') or 'no node yet'}"
            yield _Obstacle(f"{where} is not ready: {trouble}", image=trouble)
    agents = agents_among(pods)
    waiting = [agent for agent in agents if not agent.ready]
    if waiting:
        first = waiting[0]
        yield _Obstacle(
            f"the agent on {first.node or 'no node yet'} is not ready ({', '.join(first.waiting) or first.phase})",
            _is_crashing(first),
        )
    if len(agents) < nodes:
        yield _Obstacle(f"{len(agents)} of {nodes} agents are there")
    for node in map(node_facts, kubectl.items("nodes")):
        if not node.ready:
            yield _Obstacle(f"node {node.name} is NotReady")
    for agent in agents:
        yield from map(_Obstacle, _missing_peers(kubectl, agent, nodes - 1))


def _is_crashing(agent: PodFacts) -> bool:
    return "CrashLoopBackOff" in agent.waiting


def _missing_peers(kubectl: Kubectl, agent: PodFacts, wanted: int) -> Iterator[str]:
    done = kubectl.in_agent(agent.name, "status -o json")
    try:
        status = encryption_from_status_json(done.output)
    except ObservationError:
        yield f"the agent on {agent.node} does not tell its status ({reason(done, QUICK_SECONDS)})"
        return
    if status.mode == "wireguard" and (status.peers or 0) < wanted:
        yield f"encryption is not established: {agent.node} has {status.peers or 0} of {wanted} WireGuard peers"


def _last_output(kubectl: Kubectl) -> str:
    """What a crashing agent logged last."""
    try:
        crashing = [agent for agent in kubectl.agents() if _is_crashing(agent)]
    except ObservationError:
        return ""
    for agent in crashing:
        done = kubectl.run(
            "--namespace", NAMESPACE, "logs", agent.name, "-c", AGENT_CONTAINER, "--previous", "--tail=50"
        )
        said = [line for line in done.output.splitlines() if any(word in line for word in _FATAL)]
        if said:
            return f"; it said: {' '.join(said[-1].split())[:300]}"
    return ""
