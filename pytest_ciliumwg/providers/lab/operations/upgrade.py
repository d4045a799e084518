"""Bring the lab to another version of Cilium, node by node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations.agents import AGENT_SECONDS, end_agents, start_agents
from pytest_ciliumwg.providers.lab.spec import LabSpec
from pytest_ciliumwg.providers.lab.steering import other_steering_script
from pytest_ciliumwg.providers.lab.wireguard import tune_script


def check_upgrade(lab: Lab, versions: Sequence[str]) -> None:
    """Refuse versions that the lab cannot imitate.

    Raises:
        ProviderError: the first is not the present one, or there is one that is none or contradicts the lab's settings.
    """
    if versions and versions[0] != lab.spec.cilium_version:
        raise ProviderError(f"the lab imitates Cilium {lab.spec.cilium_version}, not {versions[0]}")
    for version in versions:
        _spec(lab, version).expectations()


def upgrade(lab: Lab, version: str) -> None:
    """Bring all nodes to a version, one after the other; if it is interrupted, it is undone by going back."""
    with lab.undo_log.until_done("upgrade", partial(_go_back, lab, _spec(lab, version).expectations())):
        for node in lab.layout:
            upgrade_node(lab, node.name, version)
        complete_upgrade(lab, version)


def complete_upgrade(lab: Lab, version: str) -> None:
    """Let a version be the lab's own, now that all its nodes have it."""
    lab.spec = _spec(lab, version)
    lab.expected = lab.spec.expectations()
    lab.running = dict.fromkeys(lab.running, lab.expected)  # also of nodes that are away
    lab.declared = lab.spec.config(userspace=not lab.kernel_wireguard)
    lab.config = replace(lab.config, version=version)
    lab.revision += 1


def upgrade_node(lab: Lab, name: str, version: str) -> None:
    """End a node's agent and start one of another version, which brings the node's datapath to its own."""
    _change(lab, name, _spec(lab, version).expectations(), lab.running[name])


def _change(lab: Lab, name: str, new: Expectations, old: Expectations) -> None:
    lab.undo_log.add(f"version of {name}", partial(_change, lab, name, old, new))
    end_agents(lab, [name])
    time.sleep(AGENT_SECONDS)
    lab.happens("steering-changes", name)
    lab.running[name] = new
    if not lab.spec.fallback:
        lab.run_in(lab.node(name), _datapath_script(lab, name))
    start_agents(lab, [name])
    lab.run_in(lab.node(name), other_steering_script(lab.spec, new, old))
    if not lab.spec.fallback and not new.rule:
        lab.run_in(lab.node(name), tune_script(lab.spec, new))
    lab.undo_log.done(f"version of {name}")


def _datapath_script(lab: Lab, name: str) -> str:
    """The new version's peers and steering, beside the old one's."""
    node, new = lab.node(name), lab.running[name]
    datapath = lab.datapath_script(node, {peer.name for peer in lab.layout})
    # The rule must never meet the mark that versions from 1.18 put on WireGuard's own packets: they would go round.
    return f"{tune_script(lab.spec, new)}\n{datapath}" if new.rule else datapath


def _go_back(lab: Lab, interrupted: Expectations) -> None:
    for node in lab.layout:
        if lab.running[node.name] is not lab.expected:
            _change(lab, node.name, lab.expected, interrupted)


def _spec(lab: Lab, version: str) -> LabSpec:
    return replace(lab.spec, cilium_version=version)
