"""Observe the cluster every second while it changes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.model.timeline import PodLife, Snapshot
from pytest_ciliumwg.providers.base import Cluster
from pytest_ciliumwg.watch.differences import differences, peer_differences
from pytest_ciliumwg.watch.ledger import MOST, Ledger

PEERS_SECONDS = 5.0
"""To look at a node's peers takes a command on it, so it is done less often."""


@dataclass(slots=True)
class Observer:
    """Turns what it sees into events."""

    cluster: Cluster
    ledger: Ledger
    nodes: Sequence[str]
    lasting: Collection[Pod] = ()
    """Ends of traffic beside pods that stay as long as their nodes."""
    _last: Snapshot | None = None
    _looked_at: float = 0.0
    _silent: bool = False
    _alive: dict[str, PodLife] = field(default_factory=dict)
    _ended: deque[PodLife] = field(default_factory=lambda: deque(maxlen=MOST))
    _peers: dict[str, frozenset[str]] = field(default_factory=dict)
    _peers_at: float = 0.0

    def look(self) -> None:
        """Compare the cluster with what it was."""
        asked = time.time()
        try:
            found = self.cluster.snapshot()
        except ProviderError as error:
            if not self._silent:
                self._silent = True
                self.ledger.happened("api-silent", f"the API stopped answering: {error}", None, self._looked_at, asked)
            return
        if self._silent:
            self._silent = False
            self.ledger.happened("api-answers", "the API answered again", None, self._looked_at, time.time())
        self._follow_pods(found, asked)
        if self._last is not None:
            for kind, what, node in differences(self._last, found):
                self.ledger.happened(kind, what, node, self._looked_at, time.time())
        self._last, self._looked_at = found, asked

    def lives(self) -> tuple[PodLife, ...]:
        """Which pod had which addresses when; none where no look has been answered."""
        pods = (*self._ended, *self._alive.values())
        now = time.time()
        return (*pods, *(PodLife(pod=end, first_at=0.0, last_at=now) for end in self.lasting)) if pods else ()

    def _follow_pods(self, found: Snapshot, now: float) -> None:
        """Note when each pod was seen first and last; one whose addresses changed has another life.

        What the first look shows was there before it, nobody knows how long.
        """
        since = now if self._last is not None else 0.0
        for key, node in found.pods.items():
            namespace, _, name = key.partition("/")
            pod = Pod(name=name, namespace=namespace, node=node, addresses=found.addresses.get(key, ()))
            known = self._alive.get(key)
            if known is not None and known.pod == pod:
                self._alive[key] = replace(known, last_at=now)
                continue
            if known is not None:
                self._ended.append(known)
            self._alive[key] = PodLife(pod=pod, first_at=since, last_at=now)
        for key in self._alive.keys() - found.pods.keys():
            self._ended.append(self._alive.pop(key))

    def look_at_peers(self) -> None:
        """Compare the nodes' peers with what they were; a node that does not answer is left for the next time."""
        if time.time() - self._peers_at < PEERS_SECONDS:
            return
        asked = time.time()
        keys = {key: node for node, key in (self._last.keys if self._last else {}).items()}
        found: dict[str, frozenset[str]] = {}
        for node in self.nodes:
            try:
                state = self.cluster.state(node)
            except ProviderError:
                continue
            if "peers" not in state.unread:
                found[node] = frozenset(keys.get(peer.public_key, peer.public_key) for peer in state.real_peers())
        for kind, what, node_name in peer_differences(self._peers, found):
            self.ledger.happened(kind, what, node_name, self._peers_at, time.time())
        self._peers |= found
        self._peers_at = asked
