"""The one-shot watch: one over all nodes, with all flows inside it.

The order makes a silence mean something: every watch has started before the first control canary is sent, every
control canary has arrived before the first flow starts, and no watch ends before the control canaries sent after the
last flow have arrived.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from pytest_ciliumwg.agent.traffic.sender import LONGEST
from pytest_ciliumwg.agent_client.accounts import SentAccount, ServedAccount, delivery, failed_delivery
from pytest_ciliumwg.agent_client.client import Agent, Reply, Run
from pytest_ciliumwg.agent_client.replies import watch_report
from pytest_ciliumwg.agent_client.wanted import Wanted
from pytest_ciliumwg.errors import AgentError
from pytest_ciliumwg.flows.plan import host_key
from pytest_ciliumwg.flows.pod_networks import pod_networks
from pytest_ciliumwg.model.cluster import IPNetwork, Node, Pod, ingress_ends
from pytest_ciliumwg.model.measurement import Measurement, Problem
from pytest_ciliumwg.model.node_state import NodeState, machines
from pytest_ciliumwg.model.traffic import Delivery, Flow
from pytest_ciliumwg.model.watch import WatchReport
from pytest_ciliumwg.providers.base import AgentTransport, Cluster, Progress, read, spared, states_of
from pytest_ciliumwg.providers.targets import OUTSIDE
from pytest_ciliumwg.waiting import wait_for
from pytest_ciliumwg.watch.control_ways import ControlWays
from pytest_ciliumwg.watch.located import located
from pytest_ciliumwg.watch.policies import dropped_by_policies

T = TypeVar("T")

CONTROL_SECONDS = 2.0
"""How long control canaries may take to arrive everywhere at least; they are sent again meanwhile."""
_HEARD_SECONDS = 0.4
"""In so many seconds they arrive where nothing is in their way, and are told when their block is handed over."""
FIRST_SECONDS = 6.5
"""How long a WireGuard session may take to open: a lost initiation is repeated after 5 s."""
FLOW_SECONDS = 12.0
"""How long all flows may take together on a machine that has much else to do; lost messages end them sooner."""
INTERVAL = 0.002
FLOWS_AT_EASE = 200
"""How many flows one processor carries at once in the times above; with more, all takes so much longer."""
_MOST_PATIENCE = 30.0
_POLL = 5.0
_CONCURRENCY = 32


class _Watching:
    """The agents of one measurement, and what they are asked for, on all nodes at once."""

    def __init__(
        self,
        cluster: Cluster,
        states: Mapping[str, NodeState],
        pool: ThreadPoolExecutor,
        networks: Sequence[IPNetwork],
        outside: AgentTransport | None = None,
    ) -> None:
        self.cluster = cluster
        self.run = Run(networks, machines(states.values()), cluster.crowding)
        self.nodes: Sequence[Node] = [node for node in cluster.nodes() if node.name in states]
        self.pods: Sequence[Pod] = cluster.test_pods()
        self.devices = {name: [link.name for link in state.native_devices] for name, state in states.items()}
        self.watchers = {node.name: Agent(cluster.node_agent(node.name)) for node in self.nodes}
        self.talkers = {pod.key: Agent(cluster.pod_agent(pod)) for pod in self.pods}
        hosts = {host_key(name): agent for name, agent in self.watchers.items()}
        self.hosts = frozenset(hosts)
        """Of the talkers those in the nodes' own networks."""
        self.talkers |= hosts
        if outside is not None:
            self.talkers[OUTSIDE] = Agent(outside)
        self.homes = {pod.key: pod.node for pod in self.pods} | {host_key(name): name for name in self.watchers}
        self.homes[OUTSIDE] = OUTSIDE
        self.problems: list[Problem] = []
        self.not_served: dict[int, str] = {}
        """Flow → why our own agent could not serve it."""
        self.blind: dict[str, str] = {}
        self.ways = ControlWays()
        self._pool = pool

    def each(self, agents: Mapping[str, Agent], ask: Callable[[str, Agent], T]) -> dict[str, T | AgentError]:
        """Ask all agents concurrently; an agent that fails yields its error."""

        def ask_one(item: tuple[str, Agent]) -> T | AgentError:
            try:
                return ask(*item)
            except AgentError as error:
                return error

        return dict(zip(agents, self._pool.map(ask_one, agents.items()), strict=True))

    def start_watches(self, flows: Sequence[Flow], port: int) -> None:
        by_name, wanted = {node.name: node for node in self.nodes}, Wanted.of(flows)
        started = self.each(
            self.watchers, lambda name, it: it.start_watch(self.run, by_name[name], self.devices[name], wanted, port)
        )
        for name, answer in started.items():
            if isinstance(answer, AgentError):
                self.blind[name] = f"the watch on {name} did not start: {answer}"

    def exchange_controls(self, phase: int) -> None:
        """Send control canaries from all nodes until each has arrived everywhere, or time and ways are used up."""
        numbers = {node.name: control_number(index, phase) for index, node in enumerate(self.nodes)}
        deadline = time.monotonic() + max(CONTROL_SECONDS, self.cluster.settle_seconds)
        unreached: list[Problem] = []
        more, one_way = True, phase == 0 and bool(self.cluster.declared.node_encryption)
        while more or time.monotonic() < deadline:
            unreached = self._send_controls(numbers, one_way=one_way)
            one_way = False
            if not wait_for(lambda: self._deaf(numbers), seconds=_HEARD_SECONDS + self.run.retire_ms / 1000, poll=0.02):
                return
            more = self.ways.widen()
        self.problems.extend(unreached)

    def _send_controls(self, numbers: Mapping[str, int], *, one_way: bool) -> list[Problem]:
        """Send one from each node; returns what went wrong on the ways to others.

        With node encryption some of them enter the tunnel and open its sessions. `one_way` sends none to an earlier
        node, as no flow that opens a session does: initiations that cross are lost, and both repeated after 5 s.
        """
        position = {node.name: index for index, node in enumerate(self.nodes)}
        addresses = [(node.name, str(ip)) for node in self.nodes for ip in node.addresses]

        def send(name: str, agent: Agent) -> tuple[list[str], list[str]]:
            after = position[name] if one_way else -1
            others = [address for node, address in addresses if node != name and position[node] > after]
            return agent.send_control(self.run, numbers[name], self.devices[name], others, self.ways.used)

        unreached: list[Problem] = []
        for name, answer in self.each(self.watchers, send).items():
            if isinstance(answer, AgentError):
                self.problems.append(Problem(name, str(answer)))
                continue
            self.problems.extend(Problem(name, f"{name}: {why}") for why in answer[0])
            unreached.extend(Problem(name, f"{name}: {why}") for why in answer[1])
        return unreached

    def _deaf(self, numbers: Mapping[str, int]) -> str:
        """The nodes that have not heard all others yet."""
        seen = self.each(self.watchers, lambda _, agent: agent.controls_seen(self.run))
        wanted = set(numbers.values())
        deaf = [n for n, s in seen.items() if isinstance(s, AgentError) or not wanted - {numbers[n]} <= s]
        return ", ".join(deaf)

    def serve(self, flows: Sequence[Flow]) -> None:
        by_pod = _by(flows, lambda flow: flow.destination_pod)
        answers = self.each(self.talkers, lambda key, agent: agent.serve(self.run, by_pod.get(key, ())))
        for key, answer in answers.items():
            if isinstance(answer, AgentError):
                self.problems.append(Problem(self.homes[key], str(answer)))
            else:
                # A node's port may be somebody else's: then the flow stays unanswered, and nobody has done wrong.
                refused = () if key in self.hosts else answer.items()
                told = {flow: f"test pod {key} cannot serve flow {flow}: {why}" for flow, why in refused}
                self.not_served |= told
                self.problems.extend(Problem(self.homes[key], why) for why in told.values())

    def send(self, part: str, flows: Sequence[Flow], seconds: float, patience: float) -> list[SentAccount]:
        """Send flows from all their pods at once, in these seconds times the patience, and wait for the accounts."""
        seconds *= patience
        by_pod = _by(flows, lambda flow: flow.source_pod)

        def send_from(key: str, agent: Agent) -> list[SentAccount]:
            agent.send(self.run, part, by_pod[key], interval=INTERVAL, timeout=seconds, patience=patience)
            deadline = time.monotonic() + LONGEST * seconds + 2 * _POLL
            while time.monotonic() < deadline:
                rows = agent.collect(self.run, part, wait=_POLL)
                if rows is not None:
                    return rows
            raise AgentError(f"the sender in {key} did not finish within {LONGEST * seconds:.0f} s")

        rows: list[SentAccount] = []
        senders = {key: agent for key, agent in self.talkers.items() if key in by_pod}
        for key, answer in self.each(senders, send_from).items():
            if isinstance(answer, AgentError):
                self.problems.append(Problem(self.homes[key], str(answer)))
            else:
                rows.extend(answer)
        return rows

    def stop_serving(self) -> list[ServedAccount]:
        answers = self.each(self.talkers, lambda _, agent: agent.stop_serving(self.run))
        return [row for answer in answers.values() if not isinstance(answer, AgentError) for row in answer]

    def deliveries(
        self, flows: Sequence[Flow], sent: Sequence[SentAccount], served: Sequence[ServedAccount]
    ) -> dict[int, Delivery]:
        """Each flow's delivery, from the accounts of both ends; where an agent was not run, that is a problem."""
        senders, servers = {row.id: row for row in sent}, {row.id: row for row in served}
        deliveries: dict[int, Delivery] = {}
        for flow in flows:
            if flow.id not in senders:
                deliveries[flow.id] = failed_delivery(flow)
                continue
            not_served = self.not_served.get(flow.id)
            made = deliveries[flow.id] = delivery(flow, senders[flow.id], servers.get(flow.id), not_served)
            lost = made.received < flow.count and not flow.dropped_by_design
            if made.unmeasured and not not_served and lost:
                self.problems.append(Problem(flow.source_node, made.unmeasured))
        return deliveries

    def reports(self) -> dict[str, WatchReport]:
        names = [node.name for node in self.nodes]

        def report(name: str, reply: Reply | AgentError) -> WatchReport:
            return watch_report(name, reply, self.blind.get(name), names)

        # Each reply is large, so it is made a report as soon as it is there.
        told = self.each(self.watchers, lambda name, agent: report(name, agent.stop_watch(self.run)))
        return {name: report(name, it) if isinstance(it, AgentError) else it for name, it in told.items()}


def measure(
    cluster: Cluster,
    flows: Sequence[Flow],
    states: Mapping[str, NodeState],
    port: int,
    progress: Progress,
    *,
    other_pods: bool = True,
    outside: AgentTransport | None = None,
) -> Measurement:
    """Run all flows inside one watch on every native device of every node.

    With `other_pods`, packets between pods that are not test pods are watched as well, by their headers alone.
    `outside` is the agent of a machine outside of the cluster, where flows have one.
    An agent that fails makes its watch or flows unsound, with the reason.
    """
    with _workers() as pool:
        nodes, pods = (cluster.nodes(), cluster.pods()) if other_pods else ((), ())
        networks = pod_networks(nodes, pods)
        watching = _Watching(cluster, states, pool, networks, outside)
        watching.start_watches(flows, port)
        watching.exchange_controls(0)
        # Looked at again now that the watches stand: what differs afterwards has happened while they watched.
        before = states_of(cluster, states)
        denied_before = _policy_drops(cluster, states, pool)
        watching.serve(flows)
        first = [flow for flow in flows if flow.purpose == "first"]
        rest = [flow for flow in flows if flow.purpose != "first"]
        devices = sum(map(len, watching.devices.values()))
        progress(f"watching {devices} native devices; opening {len(first)} WireGuard sessions for {len(rest)} flows")
        patience = patience_for(flows, cluster.crowding)
        sent = watching.send("first", first, FIRST_SECONDS, patience)
        sent += watching.send("rest", rest, FLOW_SECONDS, patience)
        # Nothing may still be served when the watches end: a late repetition would pass behind their back.
        served = watching.stop_serving()
        watching.exchange_controls(1)
        with spared(len(states)):
            reports = watching.reports()
        denied = {
            node: count - denied_before[node]
            for node, count in _policy_drops(cluster, states, pool).items()
            if node in denied_before
        }
        last = read(cluster, states)
    flows = located(flows, reports)
    deliveries = watching.deliveries(flows, sent, served)
    dropped = dropped_by_policies(flows, deliveries, reports, denied)
    for flow, node in dropped.items():
        why = f"a network policy dropped it on {node} (see capture.policies)"
        deliveries[flow] = replace(deliveries[flow], unmeasured=why)
    return Measurement(
        flows=tuple(flows),
        deliveries=deliveries,
        watches=reports,
        dropped_by_policies=dropped,
        policies=tuple(cluster.policies()) if dropped else (),
        pods=last.ends.intersection((*pods, *ingress_ends(nodes))),
        before=before,
        last=last,
        problems=tuple(dict.fromkeys(watching.problems)),
    )


def _policy_drops(cluster: Cluster, nodes: Iterable[str], pool: ThreadPoolExecutor) -> dict[str, int]:
    """Node → packets that network policies have denied there; nodes that do not tell are missing."""
    names = list(nodes)
    told = zip(names, pool.map(cluster.drops, names), strict=True)
    return {node: drops.by_policies for node, drops in told if drops is not None}


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """Threads for concurrent requests; after Ctrl-C they are not waited for: their agents end with the cluster."""
    pool = ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="ciliumwg")
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def patience_for(flows: Sequence[Flow], crowding: float) -> float:
    """How many times longer than usual answers may take: it follows the flows that one processor has to carry."""
    busiest = max(map(len, _by(flows, lambda flow: flow.source_pod).values()), default=0)
    return min(_MOST_PATIENCE, max(1.0, busiest * crowding / FLOWS_AT_EASE))


def control_number(node: int, phase: int) -> int:
    """The number in a control canary: the node's index and the phase."""
    return node * 2 + phase


def _by(flows: Sequence[Flow], key: Callable[[Flow], str]) -> dict[str, list[Flow]]:
    groups: dict[str, list[Flow]] = {}
    for flow in flows:
        groups.setdefault(key(flow), []).append(flow)
    return groups
