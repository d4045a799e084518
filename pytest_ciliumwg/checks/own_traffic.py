"""Traffic of a user's own pods under the watch: whatever they send to each other, nothing of it may be in cleartext."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from pytest_ciliumwg.checks.helpers import LEAK, refuse_pods_in_clear
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.timeline import Timeline
from pytest_ciliumwg.providers.base import Cluster, PodCommands, Progress, nodes_under_test, states_of
from pytest_ciliumwg.verdict.other_pods import ClearPods
from pytest_ciliumwg.verdict.own_traffic import carried, in_clear_between, lives_of, unproven
from pytest_ciliumwg.watch.opening import continuous_watch

_LEAST_PERIODS = 6
"""So many control packets between pods a watch lasts at least: by then a node that hears none of its own has told."""

_RATE = 5.0
"""Messages a second of each flow of ours, which go on meanwhile: enough for the watch to be steady, and little."""


class OwnTraffic:
    """A watch on all nodes while a user's own pods talk; a context manager."""

    def __init__(self, cluster: Cluster, port: int, progress: Progress) -> None:
        self._cluster = cluster
        states = states_of(cluster, nodes_under_test(cluster))
        self._watch = continuous_watch(cluster, states, port, progress, rate=_RATE)
        self._tests = frozenset(pod.key for pod in cluster.test_pods())
        self._timeline: Timeline | None = None

    def __enter__(self) -> Self:
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                time.sleep(max(self._watch.started + _LEAST_PERIODS * self._watch.heartbeat_period - time.time(), 0))
                self._timeline = self._watch.stop()
        finally:
            self._watch.__exit__(kind, error, traceback)

    @property
    def timeline(self) -> Timeline:
        """All that the watch saw; it is there when the block has ended."""
        if self._timeline is None:
            raise RuntimeError("the watch is still open: ask it what it saw after its `with` block")
        return self._timeline

    def run(self, pod: Pod | str, command: Sequence[str], *, timeout: float = 60.0) -> str:
        """Run a command in a pod, and return what it prints on standard output.

        Args:
            pod: The pod, or its namespace and name, `shop/cart-0`.
            command: The program and its arguments; in a lab, a program of this machine.
            timeout: Seconds that it may take.

        Raises:
            ProviderError: it cannot be run, or failed, or this cluster's provider can run nothing in pods.
        """
        if not isinstance(self._cluster, PodCommands):
            raise ProviderError(f"the provider {self._cluster.provider} can run no command in pods: run it yourself")
        key = pod if isinstance(pod, str) else pod.key
        found = next((known for known in self._cluster.pods() if known.key == key), None)
        if found is None:
            raise ProviderError(f"there is no pod {key} that Cilium knows; write it as NAMESPACE/NAME")
        return self._cluster.run_in_pod(found, command, timeout=timeout)

    def assert_encrypted(self, verify: Verify, one: Pod | str, other: Pod | str, *, at_least: int) -> None:
        """Verify that nothing between two pods was in cleartext, and that WireGuard carried as much as they sent.

        Args:
            verify: The check's.
            one: A pod, or its namespace and name.
            other: The pod on another node that it talked to.
            at_least: Bytes that it sent to the other at least: a silence counts only where something was to be heard.
        """
        for source in self._lives(verify, one):
            for destination in self._lives(verify, other):
                self._assert_pair(verify, source, destination, at_least)

    def _lives(self, verify: Verify, pod: Pod | str) -> tuple[Pod, ...]:
        key = pod if isinstance(pod, str) else pod.key
        found = lives_of(self.timeline, key)
        if not found:
            verify.unmeasured(Place.everywhere(f"pod {key}"), "no such pod was there while the watch was open")
        return found

    def _assert_pair(self, verify: Verify, source: Pod, destination: Pod, at_least: int) -> None:
        where, timeline = Place.of_pods(source, destination), self.timeline
        if source.node == destination.node:
            verify.unsupported(where, f"both are on {source.node}: what stays on a node is not encrypted, by design")
            return
        if {source.key, destination.key} <= self._tests:
            verify.unsupported(where, "both are test pods, whose traffic is known by its canaries: see ciliumwg_flows")
            return
        if seen := in_clear_between(timeline, (source, destination)):
            refuse_pods_in_clear(verify, [ClearPods(source, destination, seen)], "")
            return
        doubts = list(unproven(timeline, (source.node, destination.node)))
        for node, why in doubts:
            verify.unmeasured(Place.of_node(node), why)
        passed = carried(timeline, source.node, destination.node, self._cluster.declared.routing_mode)
        if passed < at_least:
            told = f"from {source.node} to {destination.node} WireGuard carried {passed} bytes that are not this run's"
            verify.unmeasured(where, f"{told}, and not the {at_least} that were sent: it took no other way unseen?")
        elif not doubts:
            verify(True, where=where, expected="nothing in cleartext", seen="nothing", meaning=LEAK)
