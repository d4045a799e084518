"""The continuous watch: one over all nodes, which goes on while the cluster changes.

Every node's watch has started and hears all others before the first flow starts, and no flow counts before each has
been answered. From then on each agent is asked every second for what is new. After a restart of an agent its job is
started again, and the time in between is recorded as blind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

from pytest_ciliumwg.agent_client.client import Agent, Run
from pytest_ciliumwg.errors import AgentError, CiliumwgError, ProviderError
from pytest_ciliumwg.flows.continuous import RATE, churn_flows, continuous_flows, interval
from pytest_ciliumwg.flows.pod_networks import pod_networks
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import Node, Pod, ingress_ends
from pytest_ciliumwg.model.timeline import ChangeStep, Event, Timeline
from pytest_ciliumwg.model.traffic import Flow
from pytest_ciliumwg.providers.base import Cluster, Progress
from pytest_ciliumwg.waiting import wait_for
from pytest_ciliumwg.watch.cluster_observer import Observer
from pytest_ciliumwg.watch.control_ways import WAY_PERIODS, ControlWays
from pytest_ciliumwg.watch.differences import in_order
from pytest_ciliumwg.watch.followers import PATIENCE, StreamFollower, WatchFollower
from pytest_ciliumwg.watch.ledger import Ledger

PERIOD = 1.0
"""Seconds between two questions to an agent, and between two control canaries, of a small cluster."""
NODES_ASKED_PER_SECOND = 5
"""In a real cluster a question is an exec into a pod: large ones are asked more slowly."""
HASTE = 5
"""How many times more often agents are asked before the watch is steady."""
LATE_HEARTBEATS = 10
"""How many periods a heartbeat may be late: on a busy node other processes have the processors."""
NODES_PER_HEARTBEAT_SECOND = 20
"""Larger clusters send heartbeats more slowly, because every node hears every other."""
READY_SECONDS = 20.0
"""How long it may take until all watches hear each other and all flows are answered."""
CHURN_RATE = 200.0
"""Messages a second of a pod that will be deleted while it sends."""
_CONCURRENCY = 32
_TICK = 0.1


class NotSteadyError(CiliumwgError):
    """A continuous watch that proves nothing, because something did not work before anything was changed."""


class ContinuousWatch:
    """Flows and captures on all nodes, from `start` until `stop`; a context manager that leaves nothing running."""

    def __init__(
        self,
        cluster: Cluster,
        devices: Mapping[str, Sequence[str]],
        port: int,
        progress: Progress,
        *,
        rate: float = RATE,
        other_pods: bool = True,
        machines: Collection[str] = (),
        others: int | None = None,
    ) -> None:
        """Prepare it; nothing is sent yet.

        Args:
            cluster: The cluster.
            devices: Node → its native devices.
            port: WireGuard's UDP port.
            progress: Told of every step.
            rate: Messages a second of each flow.
            other_pods: Whether packets between pods that are not test pods are watched too, by their headers.
            machines: The Ethernet addresses of all nodes, if they are known.
            others: With how many others each node is paired; None for all.
        """
        self.cluster = cluster
        self.run = Run(pod_networks(cluster.nodes(), cluster.pods()) if other_pods else (), machines)
        self.devices = devices
        self._progress = progress
        self._nodes: Sequence[Node] = [node for node in cluster.nodes() if node.name in devices]
        self._pods: Sequence[Pod] = cluster.test_pods()
        families, numbers = cluster.declared.families, FlowNumbers()
        flows = continuous_flows(self._pods, families, numbers, others)
        flows += churn_flows(self._pods, families, numbers)
        self.flows: dict[int, Flow] = {flow.id: flow for flow in flows}
        self.heartbeat_period = max(PERIOD, len(self._nodes) / NODES_PER_HEARTBEAT_SECOND)
        self.ledger = Ledger([node.name for node in self._nodes], longest_pause=LATE_HEARTBEATS * self.heartbeat_period)
        self._ways = ControlWays()
        self._watches = self._follow_watches(port, self.heartbeat_period)
        self._streams = {pod.node: self._follow_stream(pod, rate) for pod in self._pods}
        self._observer = Observer(cluster, self.ledger, [node.name for node in self._nodes], ingress_ends(self._nodes))
        self._pool = ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="ciliumwg-continuous")
        self._moving = threading.Lock()
        self._sending = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._poll_all, name="ciliumwg-continuous", daemon=True)
        self.started = self._stopped = 0.0
        self.poll_seconds = max(PERIOD, len(self._nodes) / NODES_ASKED_PER_SECOND)
        """Seconds between two questions to an agent."""

    def _follow_watches(self, port: int, period: float) -> dict[str, WatchFollower]:
        return {
            node.name: WatchFollower(
                cluster=self.cluster,
                run=self.run,
                ledger=self.ledger,
                node=node,
                index=index,
                devices=self.devices[node.name],
                targets=[str(ip) for peer in self._nodes if peer is not node for ip in peer.addresses],
                ways=self._ways,
                flows=self.flows,
                port=port,
                period=period,
            )
            for index, node in enumerate(self._nodes)
        }

    def _follow_stream(self, pod: Pod, rate: float) -> StreamFollower:
        return StreamFollower(
            run=self.run,
            ledger=self.ledger,
            pod=pod,
            transport_of=self.cluster.pod_agent,
            flows=[flow for flow in self.flows.values() if flow.source_pod == pod.key and flow.purpose == "continuous"],
            served=[flow for flow in self.flows.values() if flow.destination_pod == pod.key],
            rate=rate,
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._end(BaseException)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        del error
        self._end(kind)

    def start(self) -> None:
        """Watch, serve, send; returns when all watches hear each other and every flow is answered.

        Raises:
            NotSteadyError: something does not work, so that nothing could be learned from a change.
        """
        self._progress(f"watching {len(self._watches)} nodes continuously, {len(self.flows)} flows")
        self._each("the watch on a node did not start", [watch.start for watch in self._watches.values()])
        self._thread.start()
        self._hear_each_other(WAY_PERIODS * max(watch.period for watch in self._watches.values()))
        streams = self._streams.values()
        self._each("a test pod cannot serve", [stream.serve for stream in streams])
        self._each("a test pod cannot open WireGuard sessions", [stream.open_sessions for stream in streams])
        self._each("a test pod cannot send", [stream.start for stream in streams])
        self._sending.set()
        self._until(self._who_is_silent)
        self.started = time.time()

    def note(self, step: ChangeStep, what: str, node: str | None = None) -> None:
        """Put on record that something is being changed now."""
        now = time.time()
        self.ledger.keep_event(Event(kind="change", step=step, what=what, node=node, at=now, since=now))

    def send_from(self, pod: Pod) -> None:
        """Let a pod that is going to be deleted send to the test pod of the next node, as fast as a leak needs.

        Raises:
            AgentError: its agent does not answer.
        """
        mine = [
            replace(flow, source=address, source_pod=pod.key)
            for flow in self.flows.values()
            if flow.purpose == "churn" and flow.source_node == pod.node
            for address in [pod.address(flow.family)]
            if address is not None
        ]
        # No follower collects it: the pod is deleted while it sends.
        agent = Agent(self.cluster.pod_agent(pod))
        agent.start_stream(self.run, "churn", mine, lambda flow: interval(flow, CHURN_RATE), PATIENCE)

    def troubles(self, nodes: Sequence[str]) -> tuple[str, ...]:
        """What does not work now between these nodes, a sentence each: agents that cannot be asked, silent flows."""
        watches = [watch.trouble for name, watch in self._watches.items() if name in nodes]
        streams = [stream.trouble for name, stream in self._streams.items() if name in nodes]
        silent = [self.flows[outage.flow] for outage in self.ledger.open_outages()]
        unanswered = [f"nobody answers {flow}" for flow in silent if set(flow.pair) <= set(nodes)]
        return tuple(why for why in (*watches, *streams, *unanswered) if why)

    def stop(self) -> Timeline:
        """End the watch and return what it saw; a second call returns the same."""
        if not self._stopped:
            self._stopped = time.time()
            self._end(None)
        ledger, window = self.ledger, (self.started or self._stopped, self._stopped)
        offsets = ledger.offsets()
        lost = [f"{count} {what}" for what, count in ledger.overflowed.items()]
        return Timeline(
            started=window[0],
            stopped=window[1],
            flows=dict(self.flows),
            totals=ledger.totals(),
            clear=tuple(sorted(ledger.clear, key=lambda sighting: sighting.first_at)),
            quoted=tuple(ledger.quoted.values()),
            outages=tuple(outage for outage in ledger.outages() if outage.last_at >= window[0]),
            blind=(*ledger.blind, *ledger.heartbeats.deaf(self.devices, *window)),
            events=in_order(ledger.events),
            counted=ledger.counted(),
            addresses={node.name: node.tunnel_addresses for node in self._nodes},
            inside=ledger.inside(),
            inside_blind=tuple(ledger.inside_blind),
            gaps=tuple(ledger.gaps),
            conversations=tuple(ledger.conversations),
            pods_blind=tuple(ledger.pods_blind),
            pod_lives=self._observer.lives() if self.run.pod_networks else (),
            unsound=(*lost, *(error for stream in self._streams.values() for error in stream.errors)),
            offsets={node: offset.ahead for node, offset in offsets.items()},
            uncertainty={node: offset.uncertainty for node, offset in offsets.items()},
        )

    # --- the rounds ---------------------------------------------------------------------------------------------

    def _poll_all(self) -> None:
        """Ask every agent periodically; one that does not answer does not delay the others."""
        tasks: list[Callable[[], None]] = [watch.poll for watch in self._watches.values()]
        tasks += [lambda stream=stream: self._poll_stream(stream) for stream in self._streams.values()]  # type: ignore[misc]
        tasks += [self._observer.look, self._observer.look_at_peers]
        due = dict.fromkeys(range(len(tasks)), 0.0)
        running: dict[int, Future[None]] = {}
        while not self._ending.wait(_TICK):
            for number, task in enumerate(tasks):
                if number in running and not running[number].done():
                    continue
                if time.monotonic() >= due[number]:
                    # Until the watch is steady, `start` waits for every answer.
                    due[number] = time.monotonic() + self.poll_seconds / (1 if self.started else HASTE)
                    running[number] = self._pool.submit(self._safely, task)

    def _safely(self, task: Callable[[], None]) -> None:
        """Run a task; an error in it is recorded and makes the watch unsound."""
        try:
            task()
        except Exception as error:
            self.ledger.keep_count(f"answers that could not be understood ({error!r})")

    def _poll_stream(self, stream: StreamFollower) -> None:
        if not self._sending.is_set():
            return
        stream.poll()
        if stream.trouble:
            self._find_again(stream)

    def _find_again(self, stream: StreamFollower) -> None:
        """Follow a test pod whose agent was restarted: in a new pod it has another name and other addresses.

        After a restart of its node a pod keeps its name, and has other addresses all the same.
        """
        try:
            now = {pod.node: pod for pod in self.cluster.test_pods()}
        except ProviderError:
            return
        pod = now.get(stream.pod.node)
        if pod is None:
            return
        if pod == stream.pod:
            if stream.gone:
                stream.begin_again()
            return
        with self._moving:
            old, stream.pod = stream.pod, pod
            for flow in list(self.flows.values()):
                self.flows[flow.id] = flow.moved(old, pod)
            for follower in self._streams.values():
                follower.flows = [self.flows[flow.id] for flow in follower.flows]
                follower.served = [self.flows[flow.id] for flow in follower.served]
            stream.begin_again()
            for follower in self._streams.values():
                if follower is not stream:
                    follower.redirect()

    # --- the beginning ------------------------------------------------------------------------------------------

    def _each(self, what: str, calls: Sequence[Callable[[], None]]) -> None:
        def attempt(call: Callable[[], None]) -> str:
            try:
                call()
            except (AgentError, ProviderError) as error:
                return str(error)
            return ""

        failed = [why for why in self._pool.map(attempt, calls) if why]
        if failed:
            raise NotSteadyError(f"{what}: {failed[0]}")

    def _hear_each_other(self, seconds: float) -> None:
        """Wait until all watches hear each other; after these seconds without it, try one more way."""
        while wait_for(self._who_is_deaf, seconds=seconds, poll=_TICK, sleep=self._ending.wait) and self._ways.widen():
            self._each("a node agent does not answer", [watch.use_ways for watch in self._watches.values()])
        self._until(self._who_is_deaf)

    def _until(self, why_not: Callable[[], str]) -> None:
        """Wait until nothing is missing any more."""
        seconds = READY_SECONDS + self.cluster.settle_seconds
        if why := wait_for(why_not, seconds=seconds, poll=_TICK, sleep=self._ending.wait):
            raise NotSteadyError(why)

    def _who_is_deaf(self) -> str:
        with self.ledger.lock:
            deaf = [name for name in self._watches if not self.ledger.heartbeats.heard(name, self.devices[name])]
        return f"the watch on {deaf[0]} does not see the control canaries of all nodes" if deaf else ""

    def _who_is_silent(self) -> str:
        totals = self.ledger.totals()
        flows = [flow for stream in self._streams.values() for flow in stream.flows]
        silent = [flow for flow in flows if flow.id not in totals or not totals[flow.id].answered]
        silent += [self.flows[outage.flow] for outage in self.ledger.open_outages()]
        return f"nobody answers {silent[0]}, before anything was changed" if silent else ""

    # --- the end ------------------------------------------------------------------------------------------------

    def _end(self, kind: type[BaseException] | None) -> None:
        """Stop everything; after an error without waiting, because agents end with the cluster."""
        if self._ending.is_set():
            return
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        if kind is None or issubclass(kind, Exception):
            streams, watches = self._streams.values(), self._watches.values()
            for calls in (
                [stream.stop for stream in streams],
                [stream.stop_serving for stream in streams],
                [watch.stop for watch in watches],
            ):
                list(self._pool.map(lambda call: call(), calls))
        self._pool.shutdown(wait=kind is None, cancel_futures=True)
