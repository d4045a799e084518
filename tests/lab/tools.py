"""What the lab's tests see and say: a sniffer on a node's device, and marked traffic between two test pods."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab import LabCluster
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode

_SNIFFER = """
import select, socket, sys
wires = {}
for device in sys.argv[1:]:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind((device, 0))
    wires[wire] = device
print("ready", flush=True)
over = False
while not over:
    ready = select.select([*wires, sys.stdin], [], [])[0]
    over = sys.stdin in ready
    for wire, device in wires.items():
        while True:
            try:
                frame = wire.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            print(device, frame.hex())
"""

_DATAGRAM = """
import socket, sys
for address, text in zip(sys.argv[1::2], sys.argv[2::2]):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    socket.socket(family, socket.SOCK_DGRAM).sendto(text.encode() * 8, (address, 9))
"""

MARKERS = ("icmp--v4", "icmp--v6", "udp---v4", "udp---v6")
ALL = frozenset(MARKERS)
UDP = frozenset(MARKERS[2:])
V6 = frozenset(MARKERS[1::2])
ICMP = frozenset(MARKERS[:2])


@dataclass(slots=True)
class Sniffed:
    """Frames by device, there once the sniffer has ended."""

    frames: list[tuple[str, bytes]] = field(default_factory=list)

    def clear(self, device: str = "eth0") -> set[str]:
        """The markers that can be read in frames of a device."""
        return {
            text for text in MARKERS for name, frame in self.frames if name == device and text.encode() * 2 in frame
        }

    def with_marker(self) -> list[bytes]:
        """The frames that hold a marker."""
        return [frame for _, frame in self.frames if any(text.encode() in frame for text in MARKERS)]

    def tunnel(self) -> list[bytes]:
        """The IPv4 frames between WireGuard's ports."""
        ports = (51871).to_bytes(2, "big") * 2
        return [frame for _, frame in self.frames if frame[12:14] == b"\x08\x00" and frame[34:38] == ports]


@contextlib.contextmanager
def sniffing(lab: Lab, node: LabNode) -> Iterator[Sniffed]:
    """Capture all frames on a node's native devices."""
    result = Sniffed()
    command = [sys.executable, "-I", "-S", "-c", _SNIFFER, *lab.spec.devices]
    process = lab.sandbox.popen(command, netns=node.name, stdin=-1)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield result
    finally:
        output, _ = process.communicate()
    for line in output.decode().splitlines():
        device, frame = line.split()
        result.frames.append((device, bytes.fromhex(frame)))


def talk(lab: Lab, node: LabNode, peer: LabNode, *, wait: float = 2.0) -> set[str]:
    """Ping and send UDP from a node's test pod to another's, per family; gives the pings that were answered.

    One after the other: two nodes that open their first WireGuard session at the same moment may both wait 5 s.
    """
    script, datagrams = [], []
    for family in lab.families:
        address = peer.test_pod.pod.address(family)
        number = family.value
        pattern = f"icmp--{number}".encode().hex()
        flag = "-4" if family is IPFamily.V4 else "-6"
        script.append(f"ping {flag} -n -c 1 -W {wait} -p {pattern} {address} >/dev/null && echo icmp--{number} || :")
        datagrams += [str(address), f"udp---{number}"]
    script.append(f"'{sys.executable}' -I -S -c '{_DATAGRAM}' {' '.join(datagrams)}")
    return set(lab.run_in_pod(node, "\n".join(script)).split())


@dataclass(slots=True)
class Stream:
    """A stream of pings, whose numbers are there once it has ended."""

    sent: int = 0
    answered: int = 0

    @property
    def lost(self) -> int:
        """How many were not answered."""
        return self.sent - self.answered


@contextlib.contextmanager
def pinging(lab: Lab, node: LabNode, peer: LabNode, family: IPFamily = IPFamily.V4) -> Iterator[Stream]:
    """Ping from a node's test pod to another's a hundred times a second; the first ping has been answered."""
    stream = Stream()
    address = peer.test_pod.pod.address(family)
    pattern = f"icmp--{family.value}".encode().hex()
    command = ["ping", "-n", "-i", "0.01", "-p", pattern, str(address)]
    process = lab.sandbox.popen(command, netns=node.test_pod.netns)
    assert process.stdout is not None
    try:
        while b"bytes from" not in process.stdout.readline():
            assert process.poll() is None
        yield stream
    finally:
        output = _interrupted(process)
    words = next(line for line in output.splitlines() if "packets transmitted" in line).split()
    stream.sent, stream.answered = int(words[0]), int(words[3])


def _interrupted(process: subprocess.Popen[bytes]) -> str:
    """What a ping says when it is interrupted; one that is about to wait for an answer overhears the first time."""
    for _ in range(5):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=1)[0].decode()
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError("a ping could not be interrupted")


def reach_each_other(lab: Lab) -> None:
    """Every test pod reaches the next node's, in every family; two that began to shake hands at once need 5 s."""
    for node in lab.layout:
        assert talk(lab, node, lab.next_to(node), wait=6) >= {f"icmp--{family.value}" for family in lab.families}


def shape(cluster: LabCluster) -> list[object]:
    """All that is observed of all nodes, but for what is always another: keys, counters, times, places, sessions."""
    shapes: list[object] = []
    nodes = {node.public_key: node.name for node in cluster.nodes()}
    for node in cluster.nodes():
        state = cluster.state(node.name)
        assert state.link is not None
        assert state.wireguard is not None
        peers = {(nodes.get(peer.public_key), peer.endpoint, peer.allowed_ips) for peer in state.peers}
        device = (nodes.get(state.wireguard.public_key), state.wireguard.listen_port, state.wireguard.fwmark)
        link = (state.link.flags, state.link.mtu, state.rp_filter)
        routes = (set(state.routes), set(state.rules), set(state.redirects), state.unread)
        shapes.append((node.name, link, device, peers, routes, len(state.peers)))
    return [*shapes, cluster.pods(), cluster.snapshot().nodes, cluster.snapshot().agents.keys()]
