"""Faults of the WireGuard device's peers."""

from __future__ import annotations

from pytest_ciliumwg.providers.lab.faults.registry import fault
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.wireguard import allowed_ips, peer_arguments


@fault(
    "peer-removed",
    description="the node's device lacks the next node as a peer",
    shows="one peer too few in `wg show`; nothing gets through between the two nodes",
    source="cilium/cilium issue 20925: missing peers after autoscaling",
)
def peer_removed(lab: Lab, node: LabNode) -> None:
    """Remove the peer."""
    lab.run_in(node, f"wg set {lab.device} peer {lab.keys[lab.next_to(node).name]} remove")


@fault(
    "allowed-ip-missing",
    description="the next node's test pod is missing from its peer's allowed IPs",
    shows="packets to and from that pod are dropped between the two nodes; the pod in no peer's allowed IPs",
    source="cilium/cilium issue 31979: allowed IPs are rebuilt at an agent restart",
)
def allowed_ip_missing(lab: Lab, node: LabNode) -> None:
    """Set the peer's allowed IPs without the pod's."""
    peer = lab.next_to(node)
    lost = set(peer.test_pod.pod.addresses)
    kept = ",".join(str(ip) for ip in allowed_ips(peer, lab.expected) if ip not in lost)
    lab.run_in(node, f"wg set {lab.device} peer {lab.keys[peer.name]} allowed-ips {kept}")


@fault(
    "wrong-peer-key",
    description="the node knows the next node by a public key that the next node does not have",
    shows="a peer's key is not what its CiliumNode publishes; no handshake between the two nodes",
    source="cilium/cilium issue 25492: peers ignore the new key of a node that was restarted (to 1.13.3)",
)
def wrong_peer_key(lab: Lab, node: LabNode) -> None:
    """Replace the peer by one with a new key, whose private half nobody has."""
    peer = lab.next_to(node)
    stranger = lab.run_in(node, "wg genkey | wg pubkey").strip()
    lab.run_in(
        node,
        f"wg set {lab.device} peer {lab.keys[peer.name]} remove {peer_arguments(peer, stranger, lab.expected)}",
    )
