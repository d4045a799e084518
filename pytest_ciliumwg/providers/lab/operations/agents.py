"""End and start the imitated Cilium agents, with what that does to the datapath."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from pytest_ciliumwg.providers.lab.lab import Lab, new_agent
from pytest_ciliumwg.providers.lab.operations.sync_peers import tell
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.wireguard import (
    configure_script,
    new_key,
    peer_arguments,
    read_keys,
    start_script,
    stop_script,
)

AGENT_SECONDS = 0.5
"""How long a node is without an agent."""
REBUILD_SECONDS = 0.3
"""How long an agent to 1.16.1 takes to give all peers their allowed IPs again."""


def restart_agents(lab: Lab, names: Sequence[str]) -> None:
    """End the agents of these nodes, and start others."""
    ended = [name for name in names if lab.happens("agent-ends", name)]
    for name in ended:
        lab.undo_log.add(_what(name), partial(start_agents, lab, [name]))
    end_agents(lab, ended)
    time.sleep(AGENT_SECONDS)
    start_agents(lab, ended)


def end_agents(lab: Lab, names: Sequence[str]) -> None:
    """End agents; the datapath stays, except for a device that runs within the agent (userspace fallback)."""
    for name in names:
        lab.agents.pop(name, None)
    if lab.spec.fallback:
        stops = [stop_script(lab.node(name), lab.device, kernel=lab.kernel_wireguard) for name in names]
        lab.sandbox.run("\n".join(stops))
    for name in names:
        lab.happens("agent-gone", name)


def start_agents(lab: Lab, names: Sequence[str]) -> None:
    """Start agents, which bring the datapath of their nodes up to date, each as its version does."""
    nodes = [lab.node(name) for name in names]
    if lab.spec.fallback:
        lab.sandbox.run(start_script(nodes, lab.device, kernel=lab.kernel_wireguard))
    lab.run_on({node.name: start_of_agent(lab, node) for node in nodes})
    for name in names:
        lab.agents[name] = new_agent(lab.running[name].config.version)
        lab.happens("agent-started", name)
        lab.undo_log.done(_what(name))


def _what(name: str) -> str:
    return f"agent of {name}"


def start_of_agent(lab: Lab, node: LabNode) -> str:
    """What an agent does to its node when it starts; runs on the node."""
    expected = lab.running[node.name]
    if lab.spec.fallback:
        # The device is new: it is set up with all its peers, and only then does anything lead into it.
        everybody = {peer.name for peer in lab.layout}
        return f"{configure_script(lab.spec, node, expected)}\n{lab.datapath_script(node, everybody)}"
    rebuild = rebuild_script(lab, node) if expected.restart_loss else ""
    return f"{rebuild}\n{lab.datapath_script(node, ())}"


def rebuild_script(lab: Lab, node: LabNode, seconds: float = REBUILD_SECONDS) -> str:
    """Take all allowed IPs from all peers, and give them back one peer after the other (issue 31979)."""
    peers = [peer for peer in lab.peers_of(node) if peer.name in lab.keys]
    empty = " ".join(f"peer {lab.keys[peer.name]} allowed-ips ''" for peer in peers)
    lines = [f"wg set {lab.device} {empty}"]
    for peer in peers:
        words = peer_arguments(peer, lab.keys[peer.name], lab.running[node.name])
        lines += [f"sleep {seconds / len(peers):.3f}", f"wg set {lab.device} {words}"]
    return "\n".join(lines)


def replace_key(lab: Lab, name: str) -> None:
    """Take a node's private key away and restart its agent, which makes a new one; all others learn it."""
    what = f"key of {name}"
    lab.undo_log.add(what, partial(publish_key, lab, name))
    lab.sandbox.run(new_key(name))
    restart_agents(lab, [name])
    publish_key(lab, name)
    lab.undo_log.done(what)


def publish_key(lab: Lab, name: str) -> None:
    """Give a node's device the key of its file, publish that, and let all others learn it."""
    node = lab.node(name)
    script = (
        f"wg set {lab.device} private-key {node.directory}/wg.key\necho {name} $(wg pubkey <{node.directory}/wg.key)"
    )
    lab.keys.update(read_keys(lab.run_in(node, script)))
    tell(lab, {name})
