"""A tunnel between two nodes that hides what it carries from a search, and encrypts nothing."""

from __future__ import annotations

from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

DEVICE = "mask0"
PORT = 7777

# Packets from the TUN device leave as datagrams whose bytes are turned over, and the other way round.
_TUNNEL = """
import fcntl, os, selectors, socket, struct, subprocess, sys
ready, device, port, peer = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", device.encode(), 0x0001 | 0x1000))  # TUNSETIFF: TUN, no header
subprocess.run(["ip", "link", "set", device, "mtu", "1420", "up"], check=True)
wire = socket.socket(socket.AF_INET6 if ":" in peer else socket.AF_INET, socket.SOCK_DGRAM)
wire.bind(("", port))
wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
masked = bytes(range(255, -1, -1))
selector = selectors.DefaultSelector()
selector.register(tun, selectors.EVENT_READ)
selector.register(wire, selectors.EVENT_READ)
open(ready, "w").close()
while True:
    for key, _ in selector.select():
        try:
            if key.fileobj is wire:
                os.write(tun, wire.recv(65535).translate(masked))
            else:
                wire.sendto(os.read(tun, 65535).translate(masked), (peer, port))
        except OSError:
            pass
"""


def start_masking_tunnel(lab: Lab, node: LabNode, peer: LabNode) -> None:
    """Run it on both nodes until the lab ends; DEVICE leads to the other node."""
    for end, other in ((node, peer), (peer, node)):
        start(lab, end, "masking-tunnel", _TUNNEL, DEVICE, PORT, other.addresses[0])
