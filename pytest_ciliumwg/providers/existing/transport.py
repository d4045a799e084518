"""Reach an agent by an exec that carries one request in and one reply out."""

from __future__ import annotations

from collections.abc import Callable

from pytest_ciliumwg.agent.caller import NO_AGENT
from pytest_ciliumwg.errors import AgentError
from pytest_ciliumwg.providers.existing.manifests import CALL, CONTAINER
from pytest_ciliumwg.providers.kubernetes.errors import NOT_FOUND, KubeError
from pytest_ciliumwg.providers.kubernetes.kube import Kube
from pytest_ciliumwg.providers.kubernetes.remote import Place, run_in


class NotListeningError(AgentError):
    """The container runs, and no agent listens in it: it may have just started."""


class ExecTransport:
    """Reaches one running agent."""

    def __init__(self, kube: Kube, name: str, namespace: str, pod: str, *, on_gone: Callable[[], None]) -> None:
        self._kube = kube
        self._on_gone = on_gone
        self._name = name
        self._place = Place(namespace, pod, CONTAINER)

    @property
    def name(self) -> str:
        """The node's or the test pod's name."""
        return self._name

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        """Hand the agent one JSON request and return its JSON reply.

        Raises:
            AgentError: the agent cannot be reached or did not answer in time.
        """
        line = request.rstrip(b"\n") + b"\n"
        try:
            done = run_in(self._kube, self._place, CALL, stdin=line, one_line=True, timeout=timeout)
        except KubeError as error:
            if error.status == NOT_FOUND:
                self._on_gone()
                raise AgentError(
                    f"the agent on {self._name} is gone: its pod {self._place.pod} was evicted or deleted"
                ) from None
            raise AgentError(f"the agent on {self._name} cannot be reached: {error}") from None
        if done.status != 0:
            kind = NotListeningError if done.status == NO_AGENT else AgentError
            raise kind(f"the agent on {self._name} cannot be reached: {done.complaint}")
        if not done.stdout.endswith(b"\n"):
            raise AgentError(f"the agent on {self._name} answered with less than a whole line")
        return done.stdout


class NoAgent:
    """Stands for an agent that was never placed."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    def exchange(self, request: bytes, *, timeout: float) -> bytes:
        """Refuse.

        Raises:
            AgentError: always.
        """
        del request, timeout
        raise AgentError(f"no agent runs on {self.name}: {self._why}")
