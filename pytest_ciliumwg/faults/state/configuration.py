"""Faults of what Cilium is configured to do, as opposed to what was declared."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from pytest_ciliumwg.expect import Expectations, contradictions, expectations_for
from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.steering import redirect_script

OPTED_OUT = "cilium/cilium documentation: node-encryption-opt-out-labels, whose default are the control planes"


@fault(
    "version-other",
    description="the agents run another version of Cilium than was declared",
    shows="the agents tell another minor version",
    source="an upgrade that somebody else has made meanwhile, or rolled back",
    catcher="config.version",
    names="cluster",
)
def version_other(lab: Lab, node: LabNode) -> None:
    """Change the version that the lab's API would show."""
    del node
    lab.config = replace(lab.config, version="1.16.4" if lab.config.version.startswith("1.15") else "1.15.10")


@fault(
    "config-changed",
    description="Cilium's configuration says another routing mode than was declared",
    shows="routing-mode: tunnel in cilium-config, while the run expects native routing",
    source="cilium/cilium PR 35520: a configuration that was changed by accident, and nobody noticed",
    catcher="config.declared[routing_mode]",
    names="cluster",
)
def config_changed(lab: Lab, node: LabNode) -> None:
    """Change the configuration that the lab's API would show."""
    del node
    lab.config = replace(lab.config, routing_mode="vxlan")


def _can_be_strict(direction: str, expected: Expectations) -> bool:
    declared: dict[str, Any] = {direction: True}
    return not contradictions(replace(expected.config, **declared))


def _not_strict_as_declared(lab: Lab, node: LabNode, *, direction: str) -> None:
    """Change one direction in the configuration that the lab's API would show."""
    del node
    changed: dict[str, Any] = {direction: not getattr(lab.config, direction)}
    lab.config = replace(lab.config, **changed)


for _direction, _words in (("strict_egress", "leaves"), ("strict_ingress", "comes in")):
    fault(
        f"{_direction.replace('_', '-')}-other",
        description=f"Cilium's strict mode for what {_words} is not what was declared; that of the other direction is",
        shows="one of enable-encryption-strict-mode-egress and -ingress in cilium-config is not as declared",
        source="Cilium 1.19 made two options of one: an upgrade keeps the old name, which 1.20 no longer reads",
        catcher=f"config.declared[{_direction}]",
        names="cluster",
        needs=partial(_can_be_strict, _direction),
    )(partial(_not_strict_as_declared, direction=_direction))


@fault(
    "node-without-cilium",
    description="there is one more node that is Ready and may run pods, and Cilium is not on it",
    shows="a Ready Linux node in `kubectl get nodes` that no CiliumNode has",
    source="a node pool whose taint the agents do not tolerate, EKS Fargate, an affinity of the DaemonSet",
    catcher="config.nodes",
    names="cluster",
)
def node_without_cilium(lab: Lab, node: LabNode) -> None:
    """Let the lab's API show it."""
    lab.bare_nodes.add(f"{node.name}-bare")


@fault(
    "pod-unmanaged",
    description="a pod runs on the node that Cilium does not know: it was there before Cilium was installed",
    shows="a running pod with an address of its own in `kubectl get pods`, and no CiliumEndpoint of its name",
    source="documentation, Installation, `Restart unmanaged Pods`; `cilium status`: Cluster Pods 5/7 managed by Cilium",
    catcher="config.nodes",
    names="node",
)
def pod_unmanaged(lab: Lab, node: LabNode) -> None:
    """Let the lab's API show it."""
    lab.unmanaged_pods.append(Pod(name="from-before", namespace="default", node=node.name, addresses=()))


@fault(
    "node-encryption-nowhere",
    description="node encryption is declared and on, and every node has opted out of it",
    shows="encryption key 0 on every CiliumNode; all traffic of the nodes' own networks in cleartext",
    source=OPTED_OUT,
    catcher="config.node-encryption",
    default="all nodes",
    names="cluster",
    steering="redirect",
    node_encryption=True,
)
def node_encryption_nowhere(lab: Lab, node: LabNode) -> None:
    """Opt out."""
    _opt_out(lab, node)


@fault(
    "node-opted-out",
    description="the node has opted out of node encryption, though it is no control plane",
    shows="encryption key 0 on its CiliumNode; what is sent from and to its own network is in cleartext",
    source=f"{OPTED_OUT}; a selector that matches more nodes than was meant",
    catcher="config.node-encryption",
    steering="redirect",
    node_encryption=True,
)
def node_opted_out(lab: Lab, node: LabNode) -> None:
    """Opt out."""
    _opt_out(lab, node)


@fault(
    "node-redirect-missing",
    description="the node steers its pods' packets into the tunnel, and not those of its own network",
    shows="what the node itself sends, and what its pods send to other nodes, in cleartext; pod to pod is encrypted",
    source="encrypt-node was switched on, and this node's agent was not restarted: its programs are without it",
    catcher="paths.hosts",
    also=["wire.nothing-else"],
    leaks=["redirect"],
    steering="redirect",
    node_encryption=True,
)
def node_redirect_missing(lab: Lab, node: LabNode) -> None:
    """Give it the redirects of a node without node encryption."""
    without = expectations_for(replace(lab.expected.config, node_encryption=False))
    lab.run_in(node, redirect_script(lab.spec, lab.layout, node, without))


def _opt_out(lab: Lab, node: LabNode) -> None:
    """Let the node, and the others for it, do what Cilium does once it has opted out."""
    lab.replace_node(replace(node, opted_out=True))
    for other in lab.layout:
        lab.run_in(other, redirect_script(lab.spec, lab.layout, other, lab.expected))
