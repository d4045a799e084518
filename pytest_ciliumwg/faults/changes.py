"""Faults that act while something of the cluster is changed: an agent restarts, a pod goes, a version comes."""

from __future__ import annotations

import time
from collections.abc import Callable

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.faults.catalogue import BOTH, fault
from pytest_ciliumwg.faults.state.allowed_ips import healthy, set_allowed
from pytest_ciliumwg.faults.tools.foreign_traffic import start_foreign_traffic
from pytest_ciliumwg.faults.tools.window import leak_all_from
from pytest_ciliumwg.faults.wire.another_way import no_other_way, over_the_side, side_link
from pytest_ciliumwg.faults.wire.bypass import bypass, pod_ends
from pytest_ciliumwg.providers.lab.agents import kill_script
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations.agents import rebuild_script
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.steering import no_redirects_script, no_rules_script
from pytest_ciliumwg.providers.lab.wireguard import peer_arguments

GAP_SECONDS = 0.05
SMALL_MTU = 1300
OFF_SECONDS = 0.1
LOSS_SECONDS = 3.0
TAIL_SECONDS = 0.1
"""Seconds that a pod goes on sending after it was forgotten."""


def _keeps_peers(expected: Expectations) -> bool:
    return not expected.restart_loss


def _when(lab: Lab, moment: str, name: str | None, act: Callable[[], object]) -> None:
    """Do something at a moment of one node or pod, or of any."""

    def hook(at: str) -> bool:
        if name in (None, at):
            act()
        return True

    lab.hooks.setdefault(moment, []).append(hook)


def _steering_off(lab: Lab, node: LabNode) -> None:
    rule = lab.running[node.name].rule
    lab.run_in(node, no_rules_script(lab.spec, rule) if rule else no_redirects_script(lab.spec))


def _steering_on(lab: Lab, node: LabNode) -> None:
    lab.run_in(node, lab.datapath_script(node, ()))


@fault(
    "upgrade-gap",
    description=f"when the node is upgraded, its old steering goes {GAP_SECONDS * 1000:.0f} ms before the new comes",
    shows="in the middle of a rollout a few packets of one node's pods in cleartext, and nothing lost",
    source="seen live: an upgrade 1.13 to 1.15 leaks amid a flow (there for 9.4 s, with the userspace fallback)",
    catcher="change.no-cleartext",
    leaks=BOTH,
    during="upgrade",
)
def upgrade_gap(lab: Lab, node: LabNode) -> None:
    """Remove the old steering a moment before."""

    def act() -> None:
        _steering_off(lab, node)
        time.sleep(GAP_SECONDS)

    _when(lab, "steering-changes", node.name, act)


@fault(
    "restart-leak",
    description=f"when the node's agent restarts, nothing steers for {OFF_SECONDS * 1000:.0f} ms",
    shows="for a moment packets of the node's pods in cleartext, and nothing lost",
    source="seen live: an agent's restart on 1.13 leaks amid a flow (there for 8.6 s, with the userspace fallback)",
    catcher="change.no-cleartext",
    leaks=BOTH,
    during="restart_agents",
)
def restart_leak(lab: Lab, node: LabNode) -> None:
    """Remove the steering, and put it back."""

    def act() -> None:
        _steering_off(lab, node)
        time.sleep(OFF_SECONDS)
        _steering_on(lab, node)

    _when(lab, "agent-gone", node.name, act)


@fault(
    "restart-bypass",
    description="while the node's agent restarts, its test pod's packets to the next node take a second network",
    shows="nothing lost and nothing in cleartext on the native devices; the tunnel carries less than was answered",
    source="a CNI chained behind Cilium, or a mesh, that takes over while the agent is away",
    catcher="change.custody",
    names="pair",
    during="restart_agents",
)
def restart_bypass(lab: Lab, node: LabNode) -> None:
    """Lay a side link; lead the packets over it as long as the agent is away."""
    peer = lab.next_to(node)
    side_link(lab, node, peer)
    _when(lab, "agent-gone", node.name, lambda: over_the_side(lab, node, peer, 2))
    _when(lab, "agent-started", node.name, lambda: no_other_way(lab, node, peer))


@fault(
    "restart-leak-other-pods",
    description="when the node's agent restarts, packets of another pod of the node begin to leave in cleartext",
    shows="all test traffic encrypted; from the restart on another pod's packets in cleartext",
    source="CVE-2025-32793 (GHSA-5vxx-c285-pcq4): what leaks at a change is not what a test sends",
    catcher="change.other-pods",
    names="pair",
    during="restart_agents",
)
def restart_leak_other_pods(lab: Lab, node: LabNode) -> None:
    """Let the idle pods of the node and the next one talk; bypass the steering for them once the agent is away."""
    peer = lab.next_to(node)
    start_foreign_traffic(lab, node, peer)
    ends = pod_ends(lab, node.idle_pod.pod, peer.idle_pod.pod)
    _when(lab, "agent-gone", node.name, lambda: bypass(lab, node, ends=ends))


@fault(
    "restart-loses",
    description=f"when the node's agent restarts, its peers have no allowed IPs for up to {LOSS_SECONDS:.0f} s",
    shows="packets lost for seconds at an agent's restart, where this version should keep what there is",
    source="cilium/cilium issue 31979, PR 34095: allowed IPs are kept at a restart from 1.16.2 and 1.17.0",
    catcher="change.loss",
    needs=_keeps_peers,
    during="restart_agents",
)
def restart_loses(lab: Lab, node: LabNode) -> None:
    """Take the allowed IPs away, and give them back one peer after the other."""
    _when(lab, "agent-started", node.name, lambda: _rebuild(lab, node))


def _rebuild(lab: Lab, node: LabNode) -> None:
    lab.run_in(node, rebuild_script(lab, lab.node(node.name), LOSS_SECONDS))


@fault(
    "restart-forgets",
    description="after a restart of the node's agent, the next node's test pod is missing from its peer's allowed IPs",
    shows="all well before the restart; after it one pod cannot be reached from this node",
    source="cilium/cilium issues 31979 and 35644: allowed IPs that an agent does not put back",
    catcher="allowed-ips.pods",
    names="pair",
    during="restart_agents",
)
def restart_forgets(lab: Lab, node: LabNode) -> None:
    """Set the peer's allowed IPs without the pod's."""

    def act() -> None:
        peer = lab.next_to(node)
        lost = set(peer.test_pod.pod.addresses)
        set_allowed(lab, node, peer, [ip for ip in healthy(lab, peer) if ip not in lost])

    _when(lab, "agent-started", node.name, act)


@fault(
    "key-stale",
    description="the node never learns a new key of the next node's",
    shows="after a node's restart one other node's peer for it has the old key; nothing gets through between the two",
    source="cilium/cilium issue 25492: peers ignore the new key of a node that was restarted (to 1.13.3)",
    catcher="change.settled",
    names="pair",
    during="replace_key",
)
def key_stale(lab: Lab, node: LabNode) -> None:
    """Put the old key back whenever the others were told."""
    peer = lab.next_to(node)
    old = lab.keys[peer.name]

    def act() -> None:
        new = lab.keys.get(peer.name, old)
        if new != old:
            words = peer_arguments(lab.node(peer.name), old, lab.running[node.name])
            lab.run_in(node, f"wg set {lab.device} peer {new} remove {words}")

    _when(lab, "told", None, act)


@fault(
    "peer-stays",
    description="when another node has left the cluster, the node still has it as a peer",
    shows="a peer whose key no CiliumNode publishes, with the addresses of a node that is gone",
    source="cilium/cilium issue 31985: peers of nodes that are gone; stale peers are removed at agent start only",
    catcher="change.settled",
    during="remove_node",
)
def peer_stays(lab: Lab, node: LabNode) -> None:
    """Put the peer back when its node has left."""
    keys: dict[str, tuple[str, LabNode]] = {}

    def remember(name: str) -> bool:
        keys[name] = lab.keys[name], lab.node(name)
        return True

    def put_back(name: str) -> bool:
        key, gone = keys[name]
        if name != node.name:
            lab.run_in(node, f"wg set {lab.device} {peer_arguments(gone, key, lab.running[node.name])}")
        return True

    lab.hooks.setdefault("node-leaves", []).append(remember)
    lab.hooks.setdefault("node-left", []).append(put_back)


@fault(
    "churn-leak",
    description="a pod of the node that is deleted is forgotten before its process dies",
    shows="the last packets of a deleted pod in cleartext",
    source="CVE-2025-32793 (GHSA-5vxx-c285-pcq4): 1.15.0 to 1.15.15, 1.16.0 to 1.16.8, 1.17.0 to 1.17.2",
    catcher="change.no-cleartext",
    leaks=BOTH,
    during="delete_pod",
)
def churn_leak(lab: Lab, node: LabNode) -> None:
    """Lead what the pod still sends past the steering, until it is dead."""

    def hook(name: str) -> bool:
        dying = [pod for pod in lab.node(node.name).pods if pod.pod.name == name]
        for pod in dying:
            leak = leak_all_from(lab, node, pod.pod.addresses)
            time.sleep(TAIL_SECONDS)
            lab.sandbox.run(kill_script([pod.netns]))
            leak.close()
        return True

    lab.hooks.setdefault("pod-dies", []).append(hook)


@fault(
    "agents-stay",
    description="nothing happens to the node's agent when it shall restart",
    shows="the same agent as before, with the same name and start: what was to be tested did not happen",
    source="design: a change that did not happen proves nothing",
    catcher="change.done",
    during="restart_agents",
)
def agents_stay(lab: Lab, node: LabNode) -> None:
    """Keep it from ending."""
    lab.hooks.setdefault("agent-ends", []).append(lambda name: name != node.name)


@fault(
    "restart-shrinks",
    description=f"after a restart of the node's agent its device has an MTU of {SMALL_MTU}",
    shows="all well before the restart; after it the device is not as it was",
    source="cilium/cilium issues 33303 and 33304: an MTU that another start computes otherwise",
    catcher="change.restored",
    also=["device.*", "size.*"],
    during="restart_agents",
)
def restart_shrinks(lab: Lab, node: LabNode) -> None:
    """Set another MTU when the agent has started."""
    _when(lab, "agent-started", node.name, lambda: lab.run_in(node, f"ip link set {lab.device} mtu {SMALL_MTU}"))
