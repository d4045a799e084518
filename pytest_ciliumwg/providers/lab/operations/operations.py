"""The lab's operations, as the protocol `Operations` has them."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ciliumwg.model.cluster import Pod
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.operations import agents, device, ipcache, nodes, pods, upgrade

_TAKES_A_NODE_AWAY = ("drain_node", "remove_node", "add_node")


class LabOperations:
    """Changes a lab that stands; see `Operations` for what each method promises."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def unavailable(self, operation: str) -> str:
        """Why an operation cannot be carried out here; empty when it can."""
        if operation == "delete_ipcache":
            return self._lab.expected.without_strict_egress()
        return nodes.why_not(self._lab) if operation in _TAKES_A_NODE_AWAY else ""

    def restart_agents(self, nodes: Sequence[str]) -> None:
        """End the imitated agents of these nodes at once, and start others after half a second."""
        agents.restart_agents(self._lab, nodes)

    def replace_key(self, node: str) -> None:
        """Give a node a new private key, and restart its agent."""
        agents.replace_key(self._lab, node)

    def create_pod(self, node: str) -> Pod:
        """Make one more pod on a node, with an agent."""
        return pods.create_pod(self._lab, node)

    def delete_pod(self, pod: Pod) -> None:
        """Delete a pod of `create_pod` at once."""
        pods.delete_pod(self._lab, pod)

    def drain_node(self, node: str) -> None:
        """Delete the pods of a node, but for its test pod."""
        nodes.drain_node(self._lab, node)

    def remove_node(self, node: str) -> None:
        """Stop a node, and let all others forget it."""
        nodes.remove_node(self._lab, node)

    def add_node(self, node: str) -> None:
        """Bring a drained or removed node back."""
        nodes.add_node(self._lab, node)

    def restart_node(self, node: str) -> None:
        """Stop a node, and bring it back half a second later."""
        nodes.restart_node(self._lab, node)

    def device_down(self, node: str) -> None:
        """Set cilium_wg0 down."""
        device.device_down(self._lab, node)

    def device_up(self, node: str) -> None:
        """Set it up again, with the route of table 201."""
        device.device_up(self._lab, node)

    def delete_ipcache(self, node: str) -> None:
        """Let a node encrypt nothing for the other nodes' test pods over IPv4."""
        ipcache.delete_ipcache(self._lab, node)

    def restore_ipcache(self, node: str) -> None:
        """Let it encrypt again."""
        ipcache.restore_ipcache(self._lab, node)

    def block_port(self, node: str) -> None:
        """Drop WireGuard's packets in and out of a node."""
        device.block_port(self._lab, node)

    def unblock_port(self, node: str) -> None:
        """Stop dropping them."""
        device.unblock_port(self._lab, node)

    def check_upgrade(self, versions: Sequence[str]) -> None:
        """Refuse versions that the lab cannot imitate."""
        upgrade.check_upgrade(self._lab, versions)

    def upgrade(self, version: str) -> None:
        """Imitate another version, node after node."""
        upgrade.upgrade(self._lab, version)

    def catch_up(self) -> None:
        """Do nothing: only this run changes a lab."""

    def renew_pods(self) -> None:
        """Give the pods' routes the MTU of the present version."""
        pods.renew_pods(self._lab)

    def restore(self) -> None:
        """Undo everything that is not undone; an upgrade that was completed stays."""
        self._lab.undo_log.restore()
