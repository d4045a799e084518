"""Faults of the handshake between two nodes."""

from __future__ import annotations

import shlex
import sys
import time

from pytest_ciliumwg.faults.catalogue import Doubt, fault
from pytest_ciliumwg.faults.tools.consequences import LOST
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

FIREWALL = "a firewall or security group without UDP 51871 between the nodes"
STALE_SECONDS = 182.0
"""A little more than WireGuard's REJECT_AFTER_TIME."""
INITIATION_LENGTH = 8 + 148


def drop(lab: Lab, node: LabNode, *matches: str) -> None:
    """Drop packets on their way into the node, silently, as a firewall in between does."""
    port = lab.expected.listen_port
    rules = "\n".join(f"add rule inet firewall input udp dport {port} {match} drop" for match in matches)
    lab.run_in(
        node,
        f"nft -f - <<'END'\nadd table inet firewall\n"
        f"add chain inet firewall input {{ type filter hook input priority filter; }}\n{rules}\nEND",
    )


def _from(node: LabNode) -> str:
    address = node.addresses[0]
    return f"{'ip' if address.version == 4 else 'ip6'} saddr {address}"


@fault(
    "handshake-never",
    description="UDP 51871 is blocked between the node and the next node, in both directions",
    shows="initiations and no response; `latest handshake` never; nothing gets through, and nothing in cleartext",
    source=FIREWALL,
    catcher="handshake.completed",
    also=LOST,
    names="pair",
)
def handshake_never(lab: Lab, node: LabNode) -> None:
    """Drop what comes from the other, on both."""
    peer = lab.next_to(node)
    drop(lab, node, _from(peer))
    drop(lab, peer, _from(node))


@fault(
    "handshake-one-way",
    description="UDP 51871 from the node to the next node is blocked, the other direction is not",
    shows="the node's packets never arrive: initiations or responses are lost, whichever of the two begins",
    source=f"{FIREWALL}, in one direction; cilium/cilium issue 46687: one pair, silent drop on receive",
    catcher="handshake.completed",
    also=LOST,
    names="pair",
)
def handshake_one_way(lab: Lab, node: LabNode) -> None:
    """Drop what comes from the node, on the next one."""
    drop(lab, lab.next_to(node), _from(node))


@fault(
    "handshake-cannot-begin",
    description="the node's handshake initiations to the next node are lost; it can only answer the other's",
    shows="no session until the next node sends first; the first packets of the node's own are lost",
    source="stateful firewalls and NAT that let replies in and nothing new; cilium/cilium issue 33863",
    catcher="handshake.opened",
    also=["wire.first-packet", "wire.tunnelled", "wire.delivered", "wire.no-cleartext", Doubt("wire.custody")],
    names="pair",
)
def handshake_cannot_begin(lab: Lab, node: LabNode) -> None:
    """Drop the node's initiations, which are known by their size, on the next node."""
    drop(lab, lab.next_to(node), f"{_from(node)} udp length {INITIATION_LENGTH}")


@fault(
    "handshake-stale",
    description="the session of the node and the next one is older than 180 s, and cannot be renewed",
    shows="`latest handshake: 3 minutes ago`, and more with every look; nothing gets through any more",
    source=f"WireGuard's REJECT_AFTER_TIME; {FIREWALL}, closed while the cluster ran",
    catcher="handshake.fresh",
    also=LOST,
    names="pair",
    seconds=STALE_SECONDS,
)
def handshake_stale(lab: Lab, node: LabNode) -> None:
    """Let the pair shake hands, block the port and wait until the session has expired: nothing else makes it so."""
    peer = lab.next_to(node)
    shake_hands(lab, node, peer)
    handshake_never(lab, node)
    time.sleep(STALE_SECONDS)


# Port 9 is closed, so what comes back is a refusal: it has been through the tunnel both ways.
_KNOCK = """
import errno, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as knock:
    knock.settimeout(6)
    sys.exit(knock.connect_ex((sys.argv[1], 9)) not in (0, errno.ECONNREFUSED))
"""


def shake_hands(lab: Lab, node: LabNode, peer: LabNode) -> None:
    """Open the pair's WireGuard session by one exchange of packets between their test pods.

    Raises:
        ProviderError: nothing came back within 6 s.
    """
    python = shlex.quote(sys.executable or "python3")
    lab.run_in_pod(node, f"{python} -I -S -c {shlex.quote(_KNOCK)} {peer.test_pod.pod.addresses[0]}")
