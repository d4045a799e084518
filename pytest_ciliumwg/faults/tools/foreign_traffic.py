"""Traffic of other pods through the tunnel, so that WireGuard data between two nodes proves nothing of our flows."""

from __future__ import annotations

from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.model.cluster import sorted_families
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

PORT = 7070
PACKETS_PER_SECOND = 50

_SENDER = """
import socket, sys, time
ready, port, pause, targets = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
wires = [(socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM), to) for to in targets]
open(ready, "w").close()
while True:
    for wire, to in wires:
        try:
            wire.sendto(bytes(600), (to, port))
        except OSError:
            pass
    time.sleep(pause)
"""


def start_foreign_traffic(lab: Lab, node: LabNode, peer: LabNode) -> None:
    """Let the idle pods of two nodes send datagrams to each other until the lab ends."""
    for sender, receiver in ((node, peer), (peer, node)):
        addresses = [receiver.idle_pod.pod.address(family) for family in sorted_families(lab.families)]
        pause = len(addresses) / PACKETS_PER_SECOND
        name = f"foreign-traffic-{receiver.name}"
        start(lab, sender, name, _SENDER, PORT, pause, *filter(None, addresses), netns=sender.idle_pod.netns)
