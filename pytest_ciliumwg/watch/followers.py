"""Follow one agent: start its job, ask it for what is new, and start it again when the agent was restarted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_ciliumwg.agent_client.client import Agent, Heartbeat, JobGoneError, Run
from pytest_ciliumwg.agent_client.wanted import Wanted
from pytest_ciliumwg.errors import AgentError, ProviderError
from pytest_ciliumwg.flows.continuous import interval
from pytest_ciliumwg.model.cluster import Node, Pod
from pytest_ciliumwg.model.timeline import BlindInterval
from pytest_ciliumwg.model.traffic import Flow, Protocol
from pytest_ciliumwg.providers.base import AgentTransport, Cluster
from pytest_ciliumwg.watch.control_ways import ControlWays
from pytest_ciliumwg.watch.ledger import Ledger
from pytest_ciliumwg.watch.one_shot import FIRST_SECONDS, INTERVAL

PATIENCE = 1.0
"""Seconds after which an answer is late; a message without one is lost after thrice that time."""
_HEARTBEATS_SKIPPED = 1000
"""A watch that is started again counts its heartbeats from far above the last one's numbers, so that none is used
twice."""


@dataclass(slots=True)
class WatchFollower:
    """Follows the watch of a node."""

    cluster: Cluster
    run: Run
    ledger: Ledger
    node: Node
    index: int
    devices: Sequence[str]
    targets: Sequence[str]
    """The other nodes' addresses, where its control canaries go."""
    ways: ControlWays
    """How they go there; all nodes use the same."""
    flows: Mapping[int, Flow]
    port: int
    period: float
    trouble: str = ""
    """Why it cannot be asked now."""
    _one_at_a_time: threading.RLock = field(default_factory=threading.RLock)
    """Held for each request: entries that two requests fetch at once would count twice."""
    _acknowledged: int = 0
    _seen_alive: float = 0.0
    _first_heartbeat: int = 0

    def start(self) -> None:
        """Begin to watch.

        Raises:
            AgentError: the agent does not answer, or cannot watch.
        """
        heartbeat = Heartbeat(
            node=self.index,
            first=self._first_heartbeat,
            period=self.period,
            targets=self.targets,
            ways=self.ways.used,
        )
        wanted = Wanted.of(list(self.flows.values()))
        self._agent().start_continuous_watch(self.run, self.node, self.devices, wanted, self.port, heartbeat)
        self._acknowledged = 0
        self._first_heartbeat += _HEARTBEATS_SKIPPED + int(time.time() - self._seen_alive if self._seen_alive else 0)

    def use_ways(self) -> None:
        """Let its control canaries go by all ways that are in use now.

        Raises:
            AgentError: the agent does not answer.
        """
        self._agent().send_heartbeat_by(self.run, self.ways.used)

    def poll(self) -> None:
        """Fetch what is new."""
        with self._one_at_a_time:
            try:
                asked = time.time()
                reply = self._agent().collect_watch(self.run, self._acknowledged)
            except JobGoneError:
                self._begin_again()
            except (AgentError, ProviderError) as error:
                self.trouble = str(error)
            else:
                self._take(asked, reply)

    def stop(self) -> None:
        """End the watch and take the rest."""
        with self._one_at_a_time:
            try:
                more = True
                while more:
                    asked = time.time()
                    reply = self._agent().stop_continuous_watch(self.run, self._acknowledged)
                    self._take(asked, reply)
                    more = bool(reply["entries"])  # an answer holds so many at most
            except (AgentError, ProviderError) as error:
                self._went_blind(time.time(), f"its watch gave no result: {error}")

    def _agent(self) -> Agent:
        return Agent(self.cluster.node_agent(self.node.name))

    def _take(self, asked: float, reply: Mapping[str, object]) -> None:
        received = time.time()
        self.ledger.answered(self.node.name, asked, float(str(reply["now"])), received)
        self.ledger.watched(self.node.name, reply)
        self._acknowledged = last_of(reply, self._acknowledged)
        self._seen_alive, self.trouble = asked, ""

    def _begin_again(self) -> None:
        try:
            self.start()
        except (AgentError, ProviderError) as error:
            self.trouble = str(error)
            return
        now = time.time()
        self._went_blind(now, "its node agent was restarted")
        self.ledger.happened("watch-restarted", "the node agent was restarted", self.node.name, self._seen_alive, now)

    def _went_blind(self, until: float, why: str) -> None:
        blind = _blind(self.node.name, self._seen_alive, until, why)
        self.ledger.keep("blind intervals", self.ledger.blind, blind)


@dataclass(slots=True)
class StreamFollower:
    """Follows the sender in a pod."""

    run: Run
    ledger: Ledger
    pod: Pod
    transport_of: Callable[[Pod], AgentTransport]
    flows: list[Flow]
    """What it sends."""
    served: list[Flow]
    """What it answers."""
    rate: float
    trouble: str = ""
    errors: list[str] = field(default_factory=list)
    gone: bool = False
    """Whether its agent was restarted, so that it has to begin again: in the pod as it is then, with its addresses."""
    life: int = 0
    """How often it was started: each time it is another job."""
    served_life: int = 0
    """The same of its serving."""
    _one_at_a_time: threading.RLock = field(default_factory=threading.RLock)
    _acknowledged: int = 0

    @property
    def _job(self) -> str:
        return f"stream-{self.life}"

    @property
    def _serving(self) -> str:
        return f"stream-{self.served_life}"

    def serve(self) -> None:
        """Answer the flows that come to the pod.

        Raises:
            AgentError: the agent does not answer.
        """
        self.errors += self._serve()

    def _serve(self) -> list[str]:
        """Answer them; returns what cannot be answered, a sentence each."""
        refused = Agent(self.transport_of(self.pod)).serve(self.run, self.served, part=self._serving)
        return [f"{self.pod.key} cannot serve flow {flow}: {why}" for flow, why in refused.items()]

    def open_sessions(self) -> None:
        """Send one echo request to each node that comes after this one, and wait for the answers for a while.

        Two nodes that begin at the same moment cross their handshakes, and back off for 5 s.

        Raises:
            AgentError: the agent does not answer.
        """
        pairs = {
            flow.destination_pod: replace(flow, purpose="first", count=1)
            for flow in self.flows
            if flow.protocol is Protocol.ICMP and flow.source_pod < flow.destination_pod
        }
        agent = Agent(self.transport_of(self.pod))
        agent.send(self.run, "first", pairs.values(), interval=INTERVAL, timeout=FIRST_SECONDS)
        agent.collect(self.run, "first", wait=FIRST_SECONDS)

    def start(self) -> None:
        """Begin to send.

        Raises:
            AgentError: the agent does not answer.
        """
        agent = Agent(self.transport_of(self.pod))
        agent.start_stream(self.run, self._job, self.flows, lambda flow: interval(flow, self.rate), PATIENCE)
        self._acknowledged = 0

    def poll(self) -> None:
        """Fetch what is new."""
        with self._one_at_a_time:
            try:
                self._take(Agent(self.transport_of(self.pod)).collect_stream(self.run, self._job, self._acknowledged))
            except JobGoneError as error:
                # Its pod may have got other addresses: who knows the pods says when and where to begin again.
                self.gone, self.trouble = True, str(error)
            except (AgentError, ProviderError) as error:
                self.trouble = str(error)

    def begin_again(self) -> None:
        """Serve and send anew, in an agent that was restarted.

        Right after a restart the API may still show the addresses that the pod had before: then nothing is begun, and
        it stays `gone`.
        """
        with self._one_at_a_time:
            self._leave()
            self.served_life += 1
            try:
                refused = self._serve()
                if refused:
                    self.gone, self.trouble = True, refused[0]
                    Agent(self.transport_of(self.pod)).stop_serving(self.run, part=self._serving)
                    return
            except (AgentError, ProviderError) as error:
                self.gone, self.trouble = True, str(error)
                return
            self.gone = False
            self._send_again()

    def _leave(self) -> None:
        """End what an agent that only seemed to be gone still has: nobody else could use its ports."""
        self.stop_serving()
        with contextlib.suppress(AgentError, ProviderError):
            Agent(self.transport_of(self.pod)).stop_stream(self.run, self._job, self._acknowledged)

    def redirect(self) -> None:
        """Send anew, to addresses that changed; the agent still has what it did."""
        with self._one_at_a_time:
            if self.gone:
                return  # it begins again by itself, with the new ones
            self._stop()
            self._send_again()

    def _send_again(self) -> None:
        self.ledger.sender_gone([flow.id for flow in self.flows])
        self.life += 1
        try:
            self.start()
            self.trouble = ""
        except (AgentError, ProviderError) as error:
            self.gone, self.trouble = True, str(error)

    def stop(self) -> None:
        """End sending and take the rest."""
        with self._one_at_a_time:
            self._stop()

    def _stop(self) -> None:
        try:
            more = True
            while more:
                reply = Agent(self.transport_of(self.pod)).stop_stream(self.run, self._job, self._acknowledged)
                self._take(reply)
                more = bool(reply["entries"])
        except (AgentError, ProviderError) as error:
            why = f"the sender in {self.pod.key} gave no account of its last moments: {error}"
            now = time.time()
            self.ledger.keep("blind intervals", self.ledger.blind, _blind(self.pod.node, now - PATIENCE, now, why))

    def stop_serving(self) -> None:
        """End serving."""
        try:
            Agent(self.transport_of(self.pod)).stop_serving(self.run, part=self._serving)
        except (AgentError, ProviderError):
            return  # its account is not needed: what was answered the senders know

    def _take(self, reply: Mapping[str, object]) -> None:
        self.ledger.streamed(self.pod.node, reply)
        self._acknowledged = last_of(reply, self._acknowledged)
        self.trouble = ""


def _blind(node: str, first: float, last: float, why: str) -> BlindInterval:
    return BlindInterval(node=node, first_at=first, last_at=last, why=why)


def last_of(reply: Mapping[str, object], before: int) -> int:
    """The number of the last entry of a reply; what was known before when there is none."""
    entries = reply["entries"]
    return int(entries[-1]["seq"]) if isinstance(entries, list) and entries else before
