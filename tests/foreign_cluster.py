"""Two machines of another cluster on the lab's network, with pods that have the addresses of the lab's own."""

from __future__ import annotations

from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import UNDERLAY, LabNode

MACHINES = ("foreign1", "foreign2")
_MAC = "02:00:00:ff:00:0{}"

# Short packets of all kinds for as long as the lab is, and some on WireGuard's port that are none of WireGuard's.
_TALKER = """
import socket, sys, time
ready, outer, ends = sys.argv[1], sys.argv[2], [end.split(",") for end in sys.argv[3:]]
def wire(source, kind, protocol, port=0):
    one = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, kind, protocol)
    one.bind((source, port))
    return one
sending = []
for source, destination in ends:
    sending.append((wire(source, socket.SOCK_RAW, 132), destination, 0, bytes(8)))
    sending.append((wire(source, socket.SOCK_DGRAM, 17), destination, 7, b"x"))
sending.append((wire("198.51.100.1", socket.SOCK_DGRAM, 17, 51871), outer, 51871, bytes(100)))
open(ready, "w").close()
while True:
    for one, to, port, data in sending:
        try:
            one.sendto(data, (to, port))
        except OSError:
            pass
    for source, destination in ends:
        with wire(source, socket.SOCK_STREAM, 6) as stream:
            stream.setblocking(False)
            stream.connect_ex((destination, 80))
    time.sleep(0.02)
"""


def start_foreign_cluster(lab: Lab, node: LabNode) -> None:
    """Let the two talk: what they send the switch floods to all nodes, because it never learns where they are."""
    peer, device = lab.next_to(node), lab.spec.devices[0]
    pairs = list(zip(node.test_pod.pod.addresses, peer.test_pod.pod.addresses, strict=True))
    pairs += zip(node.idle_pod.pod.addresses, peer.idle_pod.pod.addresses, strict=True)
    for number, name in enumerate(MACHINES, 1):
        port = f"f{number}"
        lab.sandbox.run(
            f"ip netns add {name}\n"
            f"ip link add {device} netns {name} address {_MAC.format(number)} "
            f"type veth peer name {port} netns {UNDERLAY}\n"
            f"ip -n {UNDERLAY} link set {port} master br-{device} up\n"
            f"bridge -n {UNDERLAY} link set dev {port} learning off"
        )
    for number, machine in enumerate(MACHINES):
        other = f"198.51.100.{2 - number}"
        lines = [
            f"ip addr add 198.51.100.{number + 1}/24 dev {device}",
            f"ip link set {device} up",
            "ip link set lo up",
        ]
        lines.append(f"ip neigh add {other} lladdr {_MAC.format(2 - number)} dev {device} nud permanent")
        for pair in pairs:
            own, far = pair if number == 0 else pair[::-1]
            nodad = " nodad" if own.version == 6 else ""
            lines.append(f"ip addr add {own} dev {device}{nodad}")
            lines.append(f"ip neigh add {far} lladdr {_MAC.format(2 - number)} dev {device} nud permanent")
            lines.append(f"ip route add {far} dev {device}")
        lab.sandbox.run("\n".join(lines), netns=machine)
    ends = [f"{one},{other}" for one, other in pairs]
    start(lab, node, "foreign", _TALKER, "198.51.100.2", *ends, netns=MACHINES[0])
