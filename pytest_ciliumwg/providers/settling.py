"""Look at nodes when they have learnt what the API shows, which takes them a moment."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from functools import cache

from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork, Pod, known_addresses, pool_addresses
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.providers.base import Cluster, Progress, read
from pytest_ciliumwg.waiting import wait_for

_POLL_SECONDS = 0.25


def read_settled(
    cluster: Cluster,
    nodes: Iterable[str],
    progress: Progress,
    seconds: float | None = None,
    newcomers: Collection[Pod] = (),
) -> Reading:
    """What `read` tells once every node has learnt what the API shows, or the time to settle is up.

    It has the peers that others publish, and no others (in a mesh of clusters it may have those of other clusters), and
    among their allowed IPs no address of a pod that is gone.

    Args:
        cluster: The cluster.
        nodes: Which of its nodes.
        progress: Told what is waited for.
        seconds: The time to settle; None: that of the cluster.
        newcomers: Pods that were made just now, whose addresses the other nodes' peers have to have as well.

    Raises:
        ProviderError: one of them cannot be observed at all.
    """
    names, found = list(nodes), list[Reading]()
    meshed = bool(cluster.declared.cluster_id)

    def underway() -> str:
        found[:] = [reading := read(cluster, names)]
        learnt = _Learnt(reading, newcomers, meshed=meshed)
        return ", ".join(name for name, state in reading.states.items() if not learnt.by(state))

    limit = cluster.settle_seconds if seconds is None else seconds
    doing = "waiting until these nodes have learnt of all peers and pods: "
    wait_for(underway, seconds=limit, poll=_POLL_SECONDS, progress=progress, doing=doing)
    return found[0]


class _Learnt:
    """Whether nodes have learnt what one reading shows."""

    def __init__(self, reading: Reading, newcomers: Iterable[Pod], *, meshed: bool) -> None:
        self._keys = {node.name: node.public_key for node in reading.nodes if node.public_key}
        self._published = frozenset(self._keys.values())
        self._meshed = meshed
        pods = reading.pods_before | reading.pods_after
        self._known = known_addresses(reading.nodes, pods) | pool_addresses(reading.nodes)
        self._new: dict[str, list[IPAddress]] = {}
        """Key → the addresses of the newcomers on its node."""
        for pod in newcomers:
            if key := self._keys.get(pod.node):
                self._new.setdefault(key, []).extend(pod.addresses)
        self._right = cache(self._is_right)  # all nodes tell the same of a peer

    def by(self, state: NodeState) -> bool:
        """Whether a node has the peers that the others publish, and of each what there is and nothing that is gone.

        Out of a mesh of clusters it has no more peers. A node whose peers cannot be read is not waited for: it is as
        slow to say so each time.
        """
        if "peers" in state.unread:
            return True
        peers = {peer.public_key: peer.allowed_ips for peer in state.real_peers()}
        others = {key for name, key in self._keys.items() if name != state.node}
        has_them = peers.keys() >= others if self._meshed else peers.keys() == others
        return has_them and all(itertools.starmap(self._right, peers.items()))

    def _is_right(self, key: str, allowed_ips: frozenset[IPNetwork]) -> bool:
        """Whether a peer has the newcomers' addresses, and none that nobody has, as of a pod that went."""
        single = [net.network_address for net in allowed_ips if net.prefixlen == net.max_prefixlen]
        return key not in self._published or (
            all(any(ip in net for net in allowed_ips) for ip in self._new.get(key, ()))
            and self._known.issuperset(single)
        )
