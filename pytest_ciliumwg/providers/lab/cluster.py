"""The lab as a cluster, as suites and watches use it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence

from pytest_ciliumwg.model.cluster import CiliumConfig, IPAddress, LeftOut, Member, Node, Pod, pods_on
from pytest_ciliumwg.model.drops import Drops
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.timeline import Snapshot
from pytest_ciliumwg.providers.base import AgentTransport, Progress
from pytest_ciliumwg.providers.lab.drops import DROPS
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.node_observer import observe_node
from pytest_ciliumwg.providers.lab.operations import LabOperations
from pytest_ciliumwg.providers.lab.services import DOMAIN, HOST_PORT, dns_addresses, node_ports
from pytest_ciliumwg.providers.lab.spec import LabSpec, outside_addresses
from pytest_ciliumwg.providers.targets import NO_TARGETS, OUTSIDE, Dns, Outside, Targets

SETTLE_SECONDS = 1.0


class LabCluster:
    """A lab that stands."""

    provider = "lab"
    settle_seconds = SETTLE_SECONDS
    untouched = None
    """A lab is made with its test pods and agents in it."""

    @property
    def crowding(self) -> float:
        """All nodes are on this machine."""
        return len(self.lab.layout) / (os.cpu_count() or 1)

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        """The lab itself, for faults."""
        self.operations = LabOperations(lab)
        self.notes: list[str] = []
        """Lines at the end of its description, such as the faults that were injected."""
        self._closed = False

    @property
    def description(self) -> Sequence[str]:
        """What this is, and what it is not."""
        spec, lab = self.lab.spec, self.lab
        families = " and ".join(f"IP{family.value}" for family in lab.families)
        lines = [
            "THIS IS NOT CILIUM but a lab: it proves nothing about a cluster",
            f"imitates Cilium {spec.cilium_version} (by {lab.expected.steering}) with WireGuard ({lab.wireguard})",
            f"{len(lab.layout)} nodes, {families}, native devices {', '.join(spec.devices)}",
        ]
        return [*lines, *self.notes]

    @property
    def declared(self) -> CiliumConfig:
        """The configuration of the healthy lab."""
        return self.lab.declared

    def actual_config(self) -> CiliumConfig:
        """The configuration that the lab's Cilium would show now."""
        return self.lab.config

    def node_configs(self) -> Mapping[str, CiliumConfig]:
        """Every node's Cilium has the lab's configuration."""
        return {node.name: self.lab.config for node in self.lab.layout}

    def nodes(self) -> tuple[Node, ...]:
        """All nodes, as they are published now."""
        return self.lab.publish()

    def members(self) -> tuple[Member, ...]:
        """All nodes as Kubernetes would have them now."""
        members = [
            Member(name=node.name, labels=node.labels, unmanaged=pods_on(node.name, self.lab.unmanaged_pods))
            for node in self.lab.layout
        ]
        bare = [Member(name=name, left_out=LeftOut.NO_CILIUM) for name in self.lab.bare_nodes]
        return tuple(sorted((*members, *bare), key=lambda member: member.name))

    def pods(self) -> tuple[Pod, ...]:
        """All pods, test pods included."""
        return tuple(pod.pod for node in self.lab.layout for pod in (*node.pods, *filter(None, [node.dns])))

    def test_pods(self) -> tuple[Pod, ...]:
        """One pod with an agent for each node, in node order."""
        return tuple(node.test_pod.pod for node in self.lab.layout)

    def drops(self, node: str) -> Drops:
        """What nftables rules for pods' devices and the strict mode have dropped on a node."""
        by_policies, unencrypted = map(int, self.lab.run_in(self.lab.node(node), DROPS).split())
        return Drops(by_policies=by_policies, unencrypted=unencrypted)

    def policies(self) -> Sequence[str]:
        """None: a lab has no API that would hold them."""
        return ()

    def services(self) -> Mapping[str, tuple[IPAddress, ...]]:
        """None: a lab has no kube-proxy."""
        return {}

    def targets(self) -> Targets:
        """What a lab for the profile extended has."""
        lab = self.lab
        if not lab.spec.extended:
            return NO_TARGETS
        return Targets(
            node_ports=node_ports(lab.layout),
            host_port=HOST_PORT,
            dns=Dns(dns_addresses(lab.spec), tuple(node.name for node in lab.layout if node.dns), DOMAIN),
            outside=Outside(outside_addresses(lab.spec), lab.transport(OUTSIDE)),
        )

    def state(self, node: str) -> NodeState:
        """Observe one node from the inside."""
        return observe_node(self.lab, self.lab.node(node))

    def node_agent(self, node: str) -> AgentTransport:
        """The agent in a node's network namespace."""
        return self.lab.transport(self.lab.node(node).name)

    def pod_agent(self, pod: Pod) -> AgentTransport:
        """The agent in a test pod."""
        return self.lab.transport(pod.name)

    def run_in_pod(self, pod: Pod, command: Sequence[str], *, timeout: float) -> str:
        """Run a program of this machine in a pod's network namespace.

        Raises:
            ProviderError: it failed, or did not end in time.
        """
        return self.lab.sandbox.run(shlex.join(command), netns=pod.name, timeout=timeout)

    def snapshot(self) -> Snapshot:
        """What the lab's API would show now of all that may change."""
        lab = self.lab
        layout = lab.layout
        names = {node.name for node in layout}
        return Snapshot(
            agents={name: agent for name, agent in list(lab.agents.items()) if name in names},
            nodes={name: name not in lab.not_ready for name in sorted(names)},
            keys={name: key for name, key in list(lab.keys.items()) if name in names},
            pods={pod.pod.key: node.name for node in layout for pod in node.pods},
            addresses={pod.pod.key: pod.pod.addresses for node in layout for pod in node.pods},
            revision=str(lab.revision),
        )

    def keep(self) -> str:
        """Let the lab outlive this process, and say how to enter and how to remove it."""
        sandbox, first = self.lab.sandbox, self.lab.layout[0]
        sandbox.keep()
        return (
            f"the lab is kept; enter a node with `{' '.join(sandbox.enter(first.name))} sh`, "
            f"remove the lab with `kill {sandbox.pid}`"
        )

    def close(self) -> None:
        """End the lab, unless it is kept; safe to call twice."""
        if not self._closed:
            self._closed = True
            self.lab.close()


def create_lab(spec: LabSpec, progress: Progress) -> LabCluster:
    """Raise a healthy lab.

    Raises:
        ProviderError: this machine cannot have such a lab.
    """
    lab = Lab(spec, progress)
    try:
        return LabCluster(lab)
    except BaseException:
        lab.close()
        raise
