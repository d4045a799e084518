"""Drain, remove, add and restart nodes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.providers.lab.agents import kill_script
from pytest_ciliumwg.providers.lab.lab import Lab, new_agent
from pytest_ciliumwg.providers.lab.operations.pods import raise_pod, remove_pod
from pytest_ciliumwg.providers.lab.operations.sync_peers import tell
from pytest_ciliumwg.providers.lab.spec import LabNode, LabPod
from pytest_ciliumwg.providers.lab.topology import down_script, no_pod_script, no_route_script, route_script, up_script
from pytest_ciliumwg.providers.lab.wireguard import configure_script, new_key, read_keys, start_script, stop_script

FEWEST_NODES = 3
"""With fewer there would be no pair of nodes left while one is away."""
RESTART_SECONDS = 0.5
"""How long a node is away that restarts."""


def drain_node(lab: Lab, name: str) -> None:
    """Evict the node's pods, but for the test pod, which is a DaemonSet's."""
    _enough(lab)
    node = lab.node(name)
    lab.undo_log.add(_what(name), partial(_bring_back, lab, node))
    for pod in node.pods:
        if pod != node.test_pod:
            remove_pod(lab, pod)


def remove_node(lab: Lab, name: str) -> None:
    """Stop a node; all others forget it, its routes before its addresses, so that nothing leaves in cleartext."""
    _enough(lab)
    node = lab.node(name)
    lab.undo_log.add(_what(name), partial(_bring_back, lab, node))
    lab.happens("node-leaves", name)
    _stop(lab, node, gone=[pod for pod in node.pods if pod != node.test_pod])
    lab.keys.pop(name, None)
    lab.layout = tuple(peer for peer in lab.layout if peer.name != name)
    tell(lab, (), before={peer.name: no_route_script(lab.spec, node) for peer in lab.layout})
    lab.happens("node-left", name)


def add_node(lab: Lab, name: str) -> None:
    """Bring a drained or removed node back, with a new key if it was away, and with its idle pod."""
    if not lab.undo_log.undo(_what(name)):
        lab.node(name)


def restart_node(lab: Lab, name: str) -> None:
    """Let a node restart: all its processes and its device go, and it comes back with a new key.

    A simplification: its pods have the same addresses as before, so no node's ipcache ever lacks them.
    """
    node = lab.node(name)
    with lab.undo_log.until_done(f"restart of {name}", partial(_come_back, lab, name)):
        lab.not_ready.add(name)
        _stop(lab, node)
        time.sleep(RESTART_SECONDS)
        _come_back(lab, name)


def why_not(lab: Lab) -> str:
    """Why no node can be taken away; empty when one can."""
    if lab.spec.nodes >= FEWEST_NODES:
        return ""
    return (
        f"the lab has {lab.spec.nodes} nodes; to take one away it needs {FEWEST_NODES}: --ciliumwg-nodes={FEWEST_NODES}"
    )


def _enough(lab: Lab) -> None:
    if why := why_not(lab):
        raise ProviderError(why)


def _stop(lab: Lab, node: LabNode, gone: Sequence[LabPod] = ()) -> None:
    """End everything on a node: its pods' processes first, then the wire, then the device, which is silent by then."""
    lab.agents.pop(node.name, None)
    lab.sandbox.run(
        "\n".join(
            [
                kill_script([node.name, *(pod.netns for pod in node.pods)]),
                f"nsenter --net=/run/netns/{node.name} sh -es <<'END'\n{down_script(lab.spec)}\nEND",
                stop_script(node, lab.device, kernel=lab.kernel_wireguard),
                *(no_pod_script(node, pod) for pod in gone),
            ]
        )
    )


def _come_back(lab: Lab, name: str) -> None:
    """Start everything on a node that was stopped, and let the others know it."""
    node = lab.node(name)
    start = start_script([node], lab.device, kernel=lab.kernel_wireguard)
    lab.keys.update(read_keys(lab.sandbox.run(f"{new_key(name)}\n{start}")))
    everybody = {peer.name for peer in lab.layout}
    configure = configure_script(lab.spec, node, lab.running[name])
    lab.run_in(node, f"{configure}\n{lab.datapath_script(node, everybody)}")
    lab.sandbox.run(up_script(lab.spec, lab.layout, node))
    tell(lab, {name}, before={peer.name: route_script(lab.spec, [node], peer) for peer in lab.peers_of(node)})
    places = [name, *(pod.netns for pod in node.pods if pod != node.idle_pod)]
    lab.sandbox.run(kill_script(places))  # those of an interrupted attempt
    lab.start_agents(places)
    lab.agents[name] = new_agent(lab.running[name].config.version)
    lab.not_ready.discard(name)
    lab.happens("node-came", name)


def _bring_back(lab: Lab, before: LabNode) -> None:
    """Restore a node as it was planned, at whatever step its draining or removal was interrupted."""
    if before.name not in lab.agents:
        lab.replace_node(replace(before, pods=(before.test_pod,)))
        _come_back(lab, before.name)
    node = lab.node(before.name)
    others = tuple(pod for pod in node.pods if pod != node.idle_pod)
    lab.replace_node(replace(node, pods=others))  # whatever is left of it is not to be trusted
    lab.sandbox.run(no_pod_script(node, node.idle_pod))
    raise_pod(lab, node.idle_pod)


def _what(name: str) -> str:
    return f"node {name}"
