"""Faults that begin while traffic flows."""

from __future__ import annotations

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.faults.catalogue import BOTH, fault
from pytest_ciliumwg.faults.tools.consequences import BYPASSED, LOST, PARTNERS
from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.faults.wire.bypass import bypass_script, pod_pair
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.wireguard import ON, allowed_ips

LATER_SECONDS = 0.2


def _holds_pods(expected: Expectations) -> bool:
    return expected.pods_in_allowed_ips


_PROGRAM = """
import socket, subprocess, sys, time
ready, device, seconds, script = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
pairs = [tuple(socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in pair.split(","))
         for pair in sys.argv[5:]]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((device, 0))
open(ready, "w").close()
while True:
    frame = wire.recv(65536)
    if any(one in frame[14:54] and other in frame[14:54] for one, other in pairs):
        break
time.sleep(seconds)
subprocess.run(["sh", "-e", script], check=True)
"""


def after_first_packet(lab: Lab, node: LabNode, script: str, *, seconds: float) -> None:
    """Run a shell script on the node some time after the first packet between its test pod and the next node's."""
    path = f"{node.directory}/later.sh"
    lab.run_in(node, f"cat >{path} <<'END-OF-SCRIPT'\n{script}\nEND-OF-SCRIPT")
    pairs = [",".join(map(str, pod_pair(lab, node, family))) for family in lab.families]
    start(lab, node, "later", _PROGRAM, node.test_pod.host_device, seconds, path, *pairs)


@fault(
    "leak-later",
    description=f"{LATER_SECONDS} s after the first packet all from the node's test pod to the next node's is clear",
    shows="the first moments encrypted, then one pair in cleartext: a test of one request has passed by then",
    source="seen live: an agent's restart (1.13, 8.6 s) and an upgrade 1.13 to 1.15 (9.4 s) leak amid a flow",
    catcher="wire.sustained",
    also=BYPASSED,
    leaks=BOTH,
    names="pair",
)
def leak_later(lab: Lab, node: LabNode) -> None:
    """Bypass the steering later."""
    after_first_packet(lab, node, bypass_script(lab, node), seconds=LATER_SECONDS)


@fault(
    "leak-terminating",
    description="the node's test pod is being deleted: its address left the ipcache, and it still sends",
    shows="the tail of the pod's traffic to other nodes in cleartext; nothing to it gets through any more",
    source="CVE-2025-32793 (GHSA-5vxx-c285-pcq4): 1.15.0 to 1.15.15, 1.16.0 to 1.16.8, 1.17.0 to 1.17.2",
    catcher="wire.sustained",
    also=(*LOST, "allowed-ips.pods", "state.steady"),
    leaks=BOTH,
)
def leak_terminating(lab: Lab, node: LabNode) -> None:
    """Later: no steering for the pod, and its addresses leave the allowed IPs of all peers."""
    gone = set(node.test_pod.pod.addresses)
    kept = ",".join(str(ip) for ip in allowed_ips(node, lab.expected) if ip not in gone)
    forget = [
        f"sh {ON} {peer.name} wg set {lab.device} peer {lab.keys[node.name]} allowed-ips '{kept}'"
        for peer in lab.peers_of(node)
    ]
    script = "\n".join([bypass_script(lab, node, anywhere=True), *forget])
    after_first_packet(lab, node, script, seconds=LATER_SECONDS)


@fault(
    "peer-removed-later",
    description=f"{LATER_SECONDS} s after the first packet the next node ceases to be a peer of the node's device",
    shows="all peers before the flows, one less after them; nothing gets through between the two nodes any more",
    source="cilium/cilium issue 31985: peers are removed too early while the agent restarts",
    catcher="state.steady",
    also=(*LOST, *PARTNERS),
    names="pair",
)
def peer_removed_later(lab: Lab, node: LabNode) -> None:
    """Remove it later."""
    script = f"sh {ON} {node.name} wg set {lab.device} peer {lab.keys[lab.next_to(node).name]} remove"
    after_first_packet(lab, node, script, seconds=LATER_SECONDS)


@fault(
    "allowed-ip-removed-later",
    description=f"{LATER_SECONDS} s after the first packet the next node's idle pod leaves its peer's allowed IPs",
    shows="all allowed IPs before the flows, one pod's missing after them; no flow of ours needs it",
    source="cilium/cilium issue 33159: allowed IPs are replaced as a whole, and not all come back",
    catcher="state.steady",
    also=["allowed-ips.pods"],
    names="pair",
    needs=_holds_pods,
)
def allowed_ip_removed_later(lab: Lab, node: LabNode) -> None:
    """Set the others later."""
    peer = lab.next_to(node)
    kept = ",".join(str(ip) for ip in allowed_ips(peer, lab.expected) if ip not in peer.idle_pod.pod.addresses)
    script = f"sh {ON} {node.name} wg set {lab.device} peer {lab.keys[peer.name]} allowed-ips '{kept}'"
    after_first_packet(lab, node, script, seconds=LATER_SECONDS)


@fault(
    "device-mtu-later",
    description=f"{LATER_SECONDS} s after the first packet the device of the node gets another MTU",
    shows="cilium_wg0 with MTU 1280 after the flows",
    source="an MTU that a tool of the distribution sets back when it sees a new device",
    catcher="state.steady",
    also=["device.mtu", "size.*"],
)
def device_mtu_later(lab: Lab, node: LabNode) -> None:
    """Set it later."""
    script = f"sh {ON} {node.name} ip link set {lab.device} mtu 1280"
    after_first_packet(lab, node, script, seconds=LATER_SECONDS)
