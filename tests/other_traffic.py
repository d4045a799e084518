"""Healthy traffic beside WireGuard's that has its port by chance."""

from __future__ import annotations

from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import UNDERLAY, LabNode

CLIENT = "203.0.113.7"
_OUTSIDE = "outside-client"
_VXLAN = f"08000000000007000200000000010200000000020806{'00' * 28}"

# The same datagram over and over, past the sender's own sockets: a tunnel's device asks none for its source port.
_SENDER = """
import socket, struct, sys, time
ready, device, mac, source, destination, ports, payload = sys.argv[1:]
payload = bytes.fromhex(payload)
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
wire.bind((device, 0))
own = wire.getsockname()[4]
datagram = struct.pack(">HHHH", *map(int, ports.split(",")), 8 + len(payload), 0) + payload
ends = socket.inet_aton(source) + socket.inet_aton(destination)
head = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17)
total = sum(struct.unpack(">9H", head + ends))
total = (total & 0xFFFF) + (total >> 16)
head += struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF)
frame = bytes.fromhex(mac.replace(":", "")) + own + b"\\x08\\0" + head + ends + datagram
open(ready, "w").close()
while True:
    wire.send(frame)
    time.sleep(0.05)
"""


def start_other_traffic(lab: Lab, node: LabNode) -> None:
    """A client from outside asks the node, an overlay's packet leaves it, and a reply goes to another client."""
    peer, device = lab.next_to(node), lab.spec.devices[0]
    lab.sandbox.run(
        f"ip netns add {_OUTSIDE}\n"
        f"ip link add {device} netns {_OUTSIDE} type veth peer name fo netns {UNDERLAY}\n"
        f"ip -n {UNDERLAY} link set fo master br-{device} up\n"
        f"ip -n {_OUTSIDE} link set {device} up"
    )
    macs = [lab.run_in(end, f"ip -o link show dev {device}").split("link/ether ")[1].split()[0] for end in (node, peer)]
    own, far = str(node.addresses[0]), str(peer.addresses[0])
    start(lab, node, "asks", _SENDER, device, macs[0], CLIENT, own, "51871,443", "c3" * 100, netns=_OUTSIDE)
    start(lab, node, "answers", _SENDER, device, macs[1], own, CLIENT, "443,51871", "c3" * 100)
    start(lab, node, "overlay", _SENDER, device, macs[1], own, far, "51871,8472", _VXLAN)
