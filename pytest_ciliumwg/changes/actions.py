"""What each change does, by the levers that a cluster has."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.base import Levers

OUT_SECONDS = 3.0
"""How long a device is down or a port blocked: long enough that every flow meets it several times."""
CHURN_ROUNDS = 10
CHURN_SECONDS = 0.3
"""How long a pod sends before it is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a change has to work with."""

    levers: Levers
    node: str
    """The node that it hits, where it hits one."""
    nodes: Sequence[str]
    """All nodes under test."""
    note: Callable[[str, str | None], None]
    """Puts on record what is being done, and to which node."""
    send_from: Callable[[Pod], None]
    """Lets a pod of `create_pod` send to another node until it is deleted."""


Action = Callable[[Hands], None]


def restart_agent(hands: Hands) -> None:
    """Restart the Cilium agent of one node."""
    hands.note("restarting the Cilium agent", hands.node)
    hands.levers.restart_agents([hands.node])


def restart_all_agents(hands: Hands) -> None:
    """Restart the Cilium agents of all nodes at once."""
    hands.note("restarting all Cilium agents", None)
    hands.levers.restart_agents(list(hands.nodes))


def churn_pods(hands: Hands) -> None:
    """Make pods that send at once and as fast as they can, and delete them in the middle of it."""
    for number in range(CHURN_ROUNDS):
        node = hands.nodes[number % len(hands.nodes)]
        hands.note("creating a pod", node)
        pod = hands.levers.create_pod(node)
        hands.send_from(pod)
        time.sleep(CHURN_SECONDS)
        hands.note(f"deleting the pod {pod.key} while it sends", node)
        hands.levers.delete_pod(pod)


def replace_key(hands: Hands) -> None:
    """Take a node's private key away."""
    _pull(hands, "replacing the private key", hands.levers.replace_key)


def device_down(hands: Hands) -> None:
    """Set the WireGuard device down for some seconds."""
    _pull(hands, "setting cilium_wg0 down", hands.levers.device_down)
    time.sleep(OUT_SECONDS)
    _pull(hands, "setting cilium_wg0 up", hands.levers.device_up)


def block_port(hands: Hands) -> None:
    """Drop WireGuard's packets for some seconds."""
    _pull(hands, "blocking WireGuard's UDP port", hands.levers.block_port)
    time.sleep(OUT_SECONDS)
    _pull(hands, "unblocking WireGuard's UDP port", hands.levers.unblock_port)


def restart_node(hands: Hands) -> None:
    """Restart a node."""
    _pull(hands, "restarting the node", hands.levers.restart_node)


def drain_node(hands: Hands) -> None:
    """Cordon and drain a node."""
    _pull(hands, "draining the node", hands.levers.drain_node)


def remove_node(hands: Hands) -> None:
    """Take a node out of the cluster."""
    _pull(hands, "removing the node", hands.levers.remove_node)


def add_node(hands: Hands) -> None:
    """Bring a node back that was removed before."""
    _pull(hands, "adding the node", hands.levers.add_node)


def _pull(hands: Hands, what: str, lever: Callable[[str], None]) -> None:
    """Pull a lever of the node that is hit, once it is on record."""
    hands.note(what, hands.node)
    lever(hands.node)


def upgrade_to(version: str) -> Action:
    """Bring Cilium to a version."""

    def act(hands: Hands) -> None:
        hands.note(f"bringing Cilium to {version}", None)
        hands.levers.upgrade(version)

    return act


def observe_for(seconds: float) -> Action:
    """Change nothing for some time, and then take over what others have changed meanwhile."""

    def act(hands: Hands) -> None:
        hands.note("watching what others do", None)
        time.sleep(seconds)
        hands.levers.catch_up()

    return act
