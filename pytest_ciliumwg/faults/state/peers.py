"""Faults of the WireGuard device's peers and of the keys that nodes publish."""

from __future__ import annotations

from pytest_ciliumwg.faults.catalogue import BOTH, fault
from pytest_ciliumwg.faults.tools.consequences import LOST, PARTNERS
from pytest_ciliumwg.faults.tools.transports import AfterFlowsTransport
from pytest_ciliumwg.model.node_state import DUMMY_KEY
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.wireguard import endpoint, new_key, peer_arguments, read_keys

RESTARTED = "cilium/cilium issue 25492: peers ignore the new key of a node that was restarted (to 1.13.3)"
STRANGER = "203.0.113.9"
"""An address that no node of the lab has."""
CLAMPED_ZERO = "A" * 41 + "EA="
"""The private key of 32 zeros, but for the one bit that WireGuard sets in every private key."""
EXAMPLE_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
DEAD_POD = 99
"""The place in a pod network of an address that no pod has."""


def stranger_key(lab: Lab, node: LabNode) -> str:
    """A public key whose private half nobody has."""
    return lab.run_in(node, "wg genkey | wg pubkey").strip()


def next_key(lab: Lab, node: LabNode) -> str:
    """The public key of the next node."""
    return lab.keys[lab.next_to(node).name]


@fault(
    "peer-removed",
    description="the node's device lacks the next node as a peer",
    shows="one peer too few in `wg show`; nothing gets through between the two nodes",
    source="cilium/cilium issue 20925: missing peers after autoscaling",
    catcher="peers.count",
    also=(*LOST, *PARTNERS),
    names="pair",
)
def peer_removed(lab: Lab, node: LabNode) -> None:
    """Remove the peer."""
    lab.run_in(node, f"wg set {lab.device} peer {next_key(lab, node)} remove")


@fault(
    "peer-stale",
    description="the node's device has a peer more, which no node is",
    shows="N peers instead of N - 1; one with a key that no CiliumNode publishes",
    source="cilium/cilium issue 31985: peers of nodes that are gone; stale peers are removed at agent start only",
    catcher="peers.keys",
    also=["peers.count"],
)
def peer_stale(lab: Lab, node: LabNode) -> None:
    """Add a stranger with an endpoint and an address of its own."""
    key = stranger_key(lab, node)
    port = lab.expected.listen_port
    lab.run_in(node, f"wg set {lab.device} peer {key} endpoint {STRANGER}:{port} allowed-ips 10.245.0.{DEAD_POD}/32")


@fault(
    "peer-duplicate-endpoint",
    description="the node's device has two peers with the next node's endpoint",
    shows="two peers with one endpoint, one of them with a key that no CiliumNode publishes",
    source="cilium/cilium issue 31921: stale CiliumNode objects with the same node address",
    catcher="peers.unique-endpoints",
    also=["peers.count", "peers.keys"],
)
def peer_duplicate_endpoint(lab: Lab, node: LabNode) -> None:
    """Add a stranger at the next node's endpoint."""
    key = stranger_key(lab, node)
    where = endpoint(lab.next_to(node), lab.expected)
    lab.run_in(node, f"wg set {lab.device} peer {key} endpoint {where}")


@fault(
    "wrong-peer-key",
    description="the node knows the next node by a public key that the next node does not have",
    shows="a peer's key is not what its CiliumNode publishes; no handshake between the two nodes",
    source=RESTARTED,
    catcher="peers.keys",
    also=(*LOST, *PARTNERS),
)
def wrong_peer_key(lab: Lab, node: LabNode) -> None:
    """Replace the peer by one with a new key, whose private half nobody has."""
    peer = lab.next_to(node)
    stranger = stranger_key(lab, node)
    lab.run_in(
        node,
        f"wg set {lab.device} peer {lab.keys[peer.name]} remove {peer_arguments(peer, stranger, lab.expected)}",
    )


@fault(
    "wrong-endpoint",
    description="the node sends to another address than the next node's",
    shows="a peer's endpoint is no address of its node; packets to it go to a stranger, encrypted",
    source="cilium/cilium issue 33863: nodes behind NAT; a node that was given a new address",
    catcher="peers.endpoint",
    also=LOST,
    names="pair",
)
def wrong_endpoint(lab: Lab, node: LabNode) -> None:
    """Set an address that no node has."""
    lab.run_in(node, f"wg set {lab.device} peer {next_key(lab, node)} endpoint {STRANGER}:{lab.expected.listen_port}")


@fault(
    "wrong-endpoint-port",
    description="the node sends to another port than the next node's",
    shows="a peer's endpoint with another port than 51871",
    source="pkg/wireguard/agent/agent.go: ListenPort; NAT between the nodes rewrites it",
    catcher="peers.endpoint",
    also=LOST,
    names="pair",
)
def wrong_endpoint_port(lab: Lab, node: LabNode) -> None:
    """Set another port."""
    address = lab.next_to(node).addresses[0]
    lab.run_in(node, f"wg set {lab.device} peer {next_key(lab, node)} endpoint {address}:51870")


@fault(
    "key-not-published",
    description="the node's device has a new key, and the node still publishes the old one",
    shows="the device's key is not the CiliumNode's; no other node can talk to this one",
    source="pkg/wireguard/agent/agent.go: the key file was lost, and the CiliumNode not updated",
    catcher="peers.own-key",
    also=(*LOST, *PARTNERS),
)
def key_not_published(lab: Lab, node: LabNode) -> None:
    """Give the device a new key."""
    _new_device_key(lab, node)


@fault(
    "key-not-learned",
    description="the node was restarted and published its new key, but no other node learned it",
    shows="the others' peer for this node has the old key; nothing gets through to or from the node",
    source=RESTARTED,
    catcher="peers.keys",
    also=(*LOST, *PARTNERS),
)
def key_not_learned(lab: Lab, node: LabNode) -> None:
    """Give the device a new key and publish it."""
    lab.keys[node.name] = _new_device_key(lab, node)


def _new_device_key(lab: Lab, node: LabNode) -> str:
    output = lab.run_in(node, f"{new_key(node.name)}\nwg set {lab.device} private-key {node.directory}/wg.key")
    return read_keys(output)[node.name]


@fault(
    "key-unpublished",
    description="the node's CiliumNode has lost the annotation with its public key",
    shows="no wg-pub-key on the CiliumNode, while its device and all peers still have the key",
    source="cilium/cilium issue 20925: peers go missing at the others' next restart; pruned annotations",
    catcher="peers.published",
    also=PARTNERS,
)
def key_unpublished(lab: Lab, node: LabNode) -> None:
    """Publish it no more."""
    del lab.keys[node.name]


@fault(
    "key-cloned",
    description="the node has the next node's key, and publishes it",
    shows="two CiliumNodes with one public key; the others refuse the second as a peer",
    source="pkg/wireguard/agent/agent.go (from 1.10.14): detected duplicate public key; a cloned machine image",
    catcher="peers.unique-published",
    also=(*LOST, *PARTNERS, "wire.nothing-else"),
    leaks=BOTH,  # what is encrypted to the one, the other can read, and passes on as it is
    names="either",
)
def key_cloned(lab: Lab, node: LabNode) -> None:
    """Copy the next node's private key, and let the others' agents refuse the second."""
    twin = lab.next_to(node)
    old, lab.keys[node.name] = lab.keys[node.name], lab.keys[twin.name]
    lab.run_in(
        node,
        f"cp {twin.directory}/wg.key {node.directory}/wg.key\nwg set {lab.device} private-key {node.directory}/wg.key",
    )
    for peer in lab.peers_of(node):
        lab.run_in(peer, f"wg set {lab.device} peer {old} remove")


@fault(
    "key-all-zero",
    description="the node's private key is all zeros, as clamped; all nodes know its public key and use it",
    shows="the public key L+V9o0f…; everything works, and everybody can decrypt what is sent from and to the node",
    source="a key file written as zeros (lost blocks after a crash); pkg/wireguard/agent/agent.go takes any 32 bytes",
    catcher="peers.weak-keys",
)
def key_all_zero(lab: Lab, node: LabNode) -> None:
    """Give the node that key, and let the others learn it."""
    _take_key(lab, node, f"echo '{CLAMPED_ZERO}' >{node.directory}/wg.key")


@fault(
    "key-example",
    description="the node's private key is the example of WireGuard's documentation",
    shows="the public key HIgo9xNz…; everything works, and everybody can decrypt what is sent from and to the node",
    source="a key file that was copied from https://www.wireguard.com/quickstart",
    catcher="peers.weak-keys",
)
def key_example(lab: Lab, node: LabNode) -> None:
    """Give the node that key, and let the others learn it."""
    _take_key(lab, node, f"echo '{EXAMPLE_KEY}' >{node.directory}/wg.key")


def _take_key(lab: Lab, node: LabNode, write: str) -> None:
    """Run what writes the node's key file; then device, CiliumNode and peers have that key."""
    told = lab.run_in(
        node,
        f"{write}\nwg set {lab.device} private-key {node.directory}/wg.key\n"
        f'echo "{node.name} $(wg pubkey <{node.directory}/wg.key)"',
    )
    old, lab.keys[node.name] = lab.keys[node.name], read_keys(told)[node.name]
    for peer in lab.peers_of(node):
        words = peer_arguments(node, lab.keys[node.name], lab.running[peer.name])
        lab.run_in(peer, f"wg set {lab.device} peer {old} remove {words}")


@fault(
    "dummy-peer-stays",
    description="the all-zero peer that moves allowed IPs for a moment stays in the node's device",
    shows="a peer AAAA…= in `wg show` that does not go away, with addresses that reach nobody",
    source="cilium/cilium PR 34612 (from 1.16.3): the dummy peer that replaced a non-atomic removal",
    catcher="peers.no-dummy",
)
def dummy_peer_stays(lab: Lab, node: LabNode) -> None:
    """Add it with the address of a pod that is gone."""
    address = f"10.245.0.{DEAD_POD}/32"
    lab.run_in(node, f"wg set {lab.device} peer {DUMMY_KEY} allowed-ips {address}")


@fault(
    "peer-flap",
    description="the node's agent removes the next node as a peer and adds it again, while traffic flows",
    shows="a peer whose counters went back to zero and whose session is gone: packets were lost meanwhile",
    source="cilium/cilium issues 44691 and 31985: flapping peers",
    catcher="wire.counters",
    also=["handshake.*"],
    names="pair",
)
def peer_flap(lab: Lab, node: LabNode) -> None:
    """Do it when the flows have passed, so that nothing but the counters tells."""
    peer = lab.next_to(node)
    key = lab.keys[peer.name]
    script = f"wg set {lab.device} peer {key} remove {peer_arguments(peer, key, lab.expected)}"
    lab.wrap_transport(node, lambda inner: AfterFlowsTransport(inner, lambda: lab.run_in(node, script)))
