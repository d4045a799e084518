"""The lab itself: its sandbox, its nodes, what they publish, and the handles by which faults take hold of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPFamily, Node
from pytest_ciliumwg.providers.base import AgentPort, Progress
from pytest_ciliumwg.providers.lab.agents import start_agents
from pytest_ciliumwg.providers.lab.requirements import (
    require_families,
    require_programs,
    require_userspace_wireguard,
)
from pytest_ciliumwg.providers.lab.sandbox import Sandbox
from pytest_ciliumwg.providers.lab.spec import LabNode, LabSpec, plan_nodes
from pytest_ciliumwg.providers.lab.steering import sorted_families, steering_script
from pytest_ciliumwg.providers.lab.topology import topology_script
from pytest_ciliumwg.providers.lab.wireguard import ON, configure_script, devices_script, read_keys

PortWrapper = Callable[[AgentPort], AgentPort]


class Lab:
    """A lab that stands.

    Its nodes, keys and configuration are what a cluster's API would hold; everything else is in the kernel.
    """

    def __init__(self, spec: LabSpec, progress: Progress) -> None:
        """Raise the lab.

        Raises:
            ProviderError: this machine cannot have such a lab, or its programs failed.
        """
        spec.check()
        self.expected = spec.expectations()
        require_programs()
        require_families(spec.families)
        self.spec = spec
        self.layout = plan_nodes(spec)
        self.sandbox = Sandbox()
        try:
            self._raise(progress)
        except BaseException:
            self.sandbox.close()
            raise

    def _raise(self, progress: Progress) -> None:
        began = time.monotonic()
        self.kernel_wireguard = self.sandbox.kernel_wireguard and not self.spec.userspace
        if not self.kernel_wireguard:
            require_userspace_wireguard()
        self.config = self.spec.config(userspace=not self.kernel_wireguard)
        progress(f"lab: {len(self.layout)} nodes as network namespaces")
        mtus = self.expected.pod_route_mtus(self.spec.mtu)
        # Where a range is right, a tunnel within the tunnel needs the room that the lower end leaves.
        pod_mtu = mtus.low if self.expected.overlay_in_wireguard else mtus.high
        self.sandbox.run(topology_script(self.spec, self.layout, pod_mtu))
        progress(f"lab: WireGuard ({self.wireguard}), steering by {self.expected.steering}")
        device = self.expected.device_name
        self.keys: dict[str, str] = read_keys(
            self.sandbox.run(devices_script(self.layout, device, kernel=self.kernel_wireguard))
        )
        """The public key that each node publishes; a node without an entry publishes none."""
        self.sandbox.run(
            configure_script(self.spec, self.layout, self.keys, self.expected)
            + "\n"
            + steering_script(self.spec, self.layout, self.expected)
        )
        places = [node.name for node in self.layout] + [node.test_pod.netns for node in self.layout]
        progress(f"lab: {len(places)} agents")
        self._ports = start_agents(self.sandbox, places)
        self._wrapped: dict[str, AgentPort] = {}
        progress(f"lab: stands after {time.monotonic() - began:.1f} s")

    @property
    def wireguard(self) -> str:
        """Which WireGuard the lab runs, in words."""
        return "the kernel's" if self.kernel_wireguard else "wireguard-go in user space"

    @property
    def device(self) -> str:
        """The WireGuard device's name."""
        return self.expected.device_name

    @property
    def families(self) -> list[IPFamily]:
        """The lab's IP families, IPv4 first."""
        return sorted_families(self.spec.families)

    def node(self, name: str) -> LabNode:
        """One node's plan.

        Raises:
            ProviderError: the lab has no node of this name.
        """
        for node in self.layout:
            if node.name == name:
                return node
        raise ProviderError(f"the lab has no node {name!r}, only {', '.join(node.name for node in self.layout)}")

    def peers_of(self, node: LabNode) -> tuple[LabNode, ...]:
        """All other nodes."""
        return tuple(other for other in self.layout if other.name != node.name)

    def next_to(self, node: LabNode) -> LabNode:
        """The node after this one, the first after the last: the other half of a pair that a fault hits."""
        return self.layout[(node.index + 1) % len(self.layout)]

    def run_in(self, node: LabNode, script: str, *, timeout: float = 60.0) -> str:
        """Run a shell script in a node's network namespace, where `wg` finds the node's device.

        Raises:
            ProviderError: a command of the script failed.
        """
        return self.sandbox.run(script, through=["sh", ON, node.name], timeout=timeout)

    def run_in_pod(self, node: LabNode, script: str, *, timeout: float = 60.0) -> str:
        """Run a shell script in the network namespace of a node's test pod."""
        return self.sandbox.run(script, netns=node.test_pod.netns, timeout=timeout)

    def publish(self) -> tuple[Node, ...]:
        """The nodes as CiliumNode objects would publish them now."""
        publishes_key_index = self.expected.steering == "redirect"
        return tuple(
            Node(
                name=node.name,
                addresses=node.addresses,
                public_key=self.keys.get(node.name),
                pod_cidrs=node.pod_cidrs,
                cilium_addresses=node.cilium_addresses,
                encryption_key=255 if publishes_key_index and node.name in self.keys else None,
            )
            for node in self.layout
        )

    def publish_encryption_off(self) -> None:
        """Let Cilium's configuration say that encryption is disabled."""
        self.config = replace(self.config, encryption=False)

    def port(self, place: str) -> AgentPort:
        """The way to the agent of a node or test pod, through whatever a fault put in between."""
        return self._wrapped.get(place) or self._ports[place]

    def wrap_port(self, node: LabNode, wrapper: PortWrapper) -> None:
        """Put something between us and a node's agent."""
        self._wrapped[node.name] = wrapper(self.port(node.name))
