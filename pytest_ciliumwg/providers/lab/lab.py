"""The lab itself: its sandbox, its nodes, what they publish, and the handles that faults use."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Node, Pod, sorted_families
from pytest_ciliumwg.model.timeline import AgentPod
from pytest_ciliumwg.providers.base import AgentTransport, Progress
from pytest_ciliumwg.providers.lab.agents import Launcher
from pytest_ciliumwg.providers.lab.fragments import fragments_script
from pytest_ciliumwg.providers.lab.requirements import (
    require_families,
    require_programs,
    require_tun,
    require_userspace_wireguard,
)
from pytest_ciliumwg.providers.lab.sandbox import Sandbox
from pytest_ciliumwg.providers.lab.services import services_script
from pytest_ciliumwg.providers.lab.spec import LabNode, LabPod, LabSpec, plan_nodes
from pytest_ciliumwg.providers.lab.steering import steering_script
from pytest_ciliumwg.providers.lab.strict_mode import strict_mode_script
from pytest_ciliumwg.providers.lab.topology import topology_script
from pytest_ciliumwg.providers.lab.wireguard import (
    ON,
    configure_script,
    install_script,
    new_key,
    peers_script,
    read_keys,
    start_script,
)
from pytest_ciliumwg.providers.targets import OUTSIDE
from pytest_ciliumwg.providers.undo_log import UndoLog

PortWrapper = Callable[[AgentTransport], AgentTransport]
Hook = Callable[[str], bool]
"""Called with the name of a node or pod when something is about to happen to it; False prevents it."""


_RAISE_SECONDS, _RAISE_SECONDS_OF_NODE = 60.0, 5.0
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes makes no words of them


class Lab:
    """A lab that stands.

    Its nodes, keys, agents and configuration are what a cluster's API would hold; everything else is in the kernel.
    """

    def __init__(self, spec: LabSpec, progress: Progress) -> None:
        """Raise the lab.

        Raises:
            ProviderError: this machine cannot have such a lab, or its programs failed.
        """
        spec.check()
        self.expected = spec.expectations()
        """What the imitated version does, while all nodes have the same."""
        require_programs()
        require_families(spec.families)
        self.spec = spec
        self.layout = plan_nodes(spec)
        """The nodes that are part of the cluster now, with the pods that they have now."""
        self.running: dict[str, Expectations] = {node.name: self.expected for node in self.layout}
        """Node → what the version of its Cilium agent does."""
        self.agents: dict[str, AgentPod] = {}
        """Node → its imitated Cilium agent; a node whose agent is away has none."""
        self.bare_nodes: set[str] = set()
        """Nodes that Kubernetes has besides: Ready, with pods, and without Cilium."""
        self.unmanaged_pods: list[Pod] = []
        """Pods that Kubernetes has besides, and of which Cilium does not know."""
        self.not_ready: set[str] = set()
        """The nodes that are part of the cluster and not Ready."""
        self.revision = 1
        """Counts the installation and the upgrades."""
        self.hooks: dict[str, list[Hook]] = {}
        """Moment → what a fault does then."""
        self.undo_log = UndoLog()
        self.sandbox = Sandbox()
        self._launcher: Launcher | None = None
        try:
            self._raise(progress)
        except BaseException:
            self.close()
            raise

    def _raise(self, progress: Progress) -> None:
        began = time.monotonic()
        self.kernel_wireguard = self.sandbox.kernel_wireguard and self.spec.wireguard != "userspace"
        if not self.kernel_wireguard:
            require_userspace_wireguard(instead=self.spec.wireguard != "kernel")
        if self.spec.ip_underlay:
            require_tun("a network without Ethernet headers between the lab's nodes")
        if self.spec.routing_mode == "geneve":
            require_tun("the lab's Geneve is a program, which")
        self.declared = self.spec.config(userspace=not self.kernel_wireguard)
        """The configuration of the healthy lab."""
        self.config = self.declared
        """The configuration that the lab's Cilium would show."""
        # On a busy machine a large lab takes minutes; a small one that takes as long is stuck.
        patience = _RAISE_SECONDS + _RAISE_SECONDS_OF_NODE * self.spec.nodes
        topology = topology_script(self.spec, self.layout, self.pod_mtu(self.expected))
        self.sandbox.run(topology, timeout=patience)
        self.keys: dict[str, str] = read_keys(self.sandbox.run(self._devices_script(), timeout=patience))
        """The public key that each node publishes; a node without an entry publishes none."""
        names = {node.name for node in self.layout}
        self.run_on(
            {
                node.name: f"{configure_script(self.spec, node, self.expected)}\n{self.datapath_script(node, names)}"
                for node in self.layout
            },
            timeout=patience,
        )
        places = [node.name for node in self.layout] + [node.test_pod.netns for node in self.layout]
        if self.spec.extended:
            self.sandbox.run(services_script(self.spec, self.layout))
            places.append(OUTSIDE)
        self._launcher = Launcher(self.sandbox)
        self._ports: dict[str, AgentTransport] = {}
        self.start_agents(places)
        self._wrapped: dict[str, AgentTransport] = {}
        self.agents.update({node.name: new_agent(self.spec.cilium_version) for node in self.layout})
        nodes, seconds = len(self.layout), time.monotonic() - began
        progress(f"lab: {nodes} nodes as network namespaces, standing after {seconds:.1f} s")

    def _devices_script(self) -> str:
        return "\n".join(
            [
                install_script(self.layout, kernel=self.kernel_wireguard),
                *(new_key(node.name) for node in self.layout),
                start_script(self.layout, self.device, kernel=self.kernel_wireguard),
            ]
        )

    def datapath_script(self, node: LabNode, changed: Collection[str]) -> str:
        """Shell text that brings a node's peers and steering up to date with the layout; runs on the node.

        Args:
            node: The node.
            changed: The names of the other nodes of whose keys or addresses there is something new.
        """
        expected = self.running[node.name]
        peers = peers_script(self.peers_of(node), self.keys, expected, changed)
        steering = steering_script(self.spec, self.layout, node, expected)
        strict = strict_mode_script(self.spec, expected)
        return f"{peers}\n{steering}\n{strict}\n{fragments_script(expected)}"

    def pod_mtu(self, expected: Expectations) -> int:
        """The MTU of the default routes of pods that a version makes."""
        mtus = expected.pod_route_mtus(self.spec.mtu)
        # Where a range is right, a tunnel within the tunnel needs the room that the lower end leaves.
        return mtus.low if expected.overlay_in_wireguard else mtus.high

    def start_agents(self, places: Collection[str]) -> None:
        """Start our own agents in network namespaces of nodes and pods, and wait until they listen.

        Raises:
            ProviderError: one did not start.
        """
        if self._launcher is None:
            raise AssertionError("the lab is not raised")
        self._ports.update(self._launcher.start(places))

    @property
    def wireguard(self) -> str:
        """Which WireGuard the lab runs, in words."""
        return "the kernel's" if self.kernel_wireguard else "wireguard-go"

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
        return tuple(peer for peer in self.layout if peer.name != node.name)

    def next_to(self, node: LabNode) -> LabNode:
        """The node after this one, the first after the last: the other half of a pair that a fault hits."""
        names = [member.name for member in self.layout]
        return self.layout[(names.index(node.name) + 1) % len(names)]

    def replace_node(self, node: LabNode) -> None:
        """Put a node into the layout, in its place, or in place of the one with its name."""
        others = [member for member in self.layout if member.name != node.name]
        self.layout = tuple(sorted([*others, node], key=lambda member: member.index))

    def pod(self, name: str) -> LabPod:
        """One pod of those that are there now.

        Raises:
            ProviderError: the lab has no pod of this name.
        """
        for node in self.layout:
            for pod in node.pods:
                if pod.pod.name == name:
                    return pod
        raise ProviderError(f"the lab has no pod {name!r} now")

    def happens(self, moment: str, name: str) -> bool:
        """Call the hooks of this moment for a node or pod; returns whether the thing may happen."""
        answers = [hook(name) for hook in self.hooks.get(moment, [])]
        return all(answers)

    def run_in(self, node: LabNode, script: str, *, timeout: float = 60.0) -> str:
        """Run a shell script in a node's network namespace, where `wg` finds the node's device.

        Raises:
            ProviderError: a command of the script failed.
        """
        return self.sandbox.run(script, through=["sh", ON, node.name], timeout=timeout)

    def run_on(self, scripts: Mapping[str, str], *, timeout: float = 60.0) -> None:
        """Run a shell script on each of these nodes, as `run_in` does, on all at the same time.

        Raises:
            ProviderError: a command of one of the scripts failed.
        """
        parts = [
            f"sh {ON} {name} sh -es <<'END-OF-NODE' &\n{script}\nEND-OF-NODE\nrunning=\"$running $!\""
            for name, script in scripts.items()
        ]
        wait = "failed=0; for one in $running; do wait $one || failed=1; done; exit $failed"
        self.sandbox.run("\n".join(["running=", *parts, wait]), timeout=timeout)

    def run_in_pod(self, node: LabNode, script: str, *, timeout: float = 60.0) -> str:
        """Run a shell script in the network namespace of a node's test pod."""
        return self.sandbox.run(script, netns=node.test_pod.netns, timeout=timeout)

    def publish(self) -> tuple[Node, ...]:
        """The nodes as CiliumNode objects would publish them now."""
        return tuple(
            Node(
                name=node.name,
                addresses=node.addresses,
                public_key=self.keys.get(node.name),
                pod_cidrs=node.pod_cidrs,
                cilium_addresses=node.cilium_addresses + _addresses(node.health),
                health_addresses=_addresses(node.health),
                encryption_key=self._key_index(node),
            )
            for node in self.layout
        )

    def _key_index(self, node: LabNode) -> int | None:
        if self.running[node.name].steering != "redirect" or node.name not in self.keys:
            return None
        return 0 if node.opted_out else 255

    def publish_encryption_off(self) -> None:
        """Let Cilium's configuration say that encryption is disabled."""
        self.config = replace(self.config, encryption=False)

    def transport(self, place: str) -> AgentTransport:
        """The transport to the agent of a node or test pod, with what a fault put in between."""
        return self._wrapped.get(place) or self._ports[place]

    def wrap_transport(self, node: LabNode, wrapper: PortWrapper) -> None:
        """Wrap the transport to a node's agent."""
        self._wrapped[node.name] = wrapper(self.transport(node.name))

    def close(self) -> None:
        """End the lab, unless its sandbox is kept; safe to call twice."""
        self.sandbox.close()
        if self._launcher is not None:
            self._launcher.close()


def _addresses(pod: LabPod | None) -> tuple[IPAddress, ...]:
    return () if pod is None else pod.pod.addresses


def new_agent(version: str) -> AgentPod:
    """A Cilium agent that has started just now, with a name that no other had before it."""
    suffix = "".join(secrets.choice(_NAME_LETTERS) for _ in range(5))
    return AgentPod(name=f"cilium-{suffix}", ready=True, started_at=time.time(), image=version)
