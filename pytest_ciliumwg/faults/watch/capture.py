"""Faults of the capture itself, most of them made by changing requests to the node's agent."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable

from pytest_ciliumwg.faults.catalogue import fault
from pytest_ciliumwg.faults.tools.consequences import BLIND
from pytest_ciliumwg.faults.tools.program import start
from pytest_ciliumwg.faults.tools.transports import (
    AfterFlowsTransport,
    AfterStartTransport,
    EarlyTransport,
    LateTransport,
    RewritingTransport,
)
from pytest_ciliumwg.flows.ports import FIRST_PORT
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.base import AgentTransport
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import DEVICES, UNDERLAY, LabNode
from pytest_ciliumwg.providers.lab.topology import port_of

TINY_RING = {"ring": {"block_size": 4096, "blocks": 2}}
SMALL_BLOCKS = {"ring": {"block_size": 4096, "blocks": 2048}}
BURST_FRAMES = 20000
EARLY_SECONDS = 0.35
PORTS_TAKEN = 60
"""The first ports of flows, as the plan of flows numbers them."""
DROPPED = "no cleartext seen, because nobody looked: silence that proves nothing"

# Local experimental EtherType 2, so that no program takes the frames for its own.
_BURST = """
import socket, sys
for port in sys.argv[2:]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((port, 0))
        frame = b"\\xff" * 6 + bytes.fromhex("020000000000") + bytes.fromhex("88b6") + bytes(1400)
        for _ in range(int(sys.argv[1])):
            try:
                wire.send(frame)
            except OSError:
                pass
"""

# A frame of many segments, as a network card that merges them (GRO, LRO) hands it over: larger than a block.
_MERGED = """
import socket, struct, sys
for port in sys.argv[1:]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((port, 0))
        wire.setsockopt(263, 15, 1)  # PACKET_VNET_HDR
        frame = b"\\xff" * 6 + bytes.fromhex("020000000000") + b"\\x08\\0"
        frame += struct.pack(">BBHHHBBH4s4s", 0x45, 0, 7040, 1, 0, 64, 6, 0, bytes(4), bytes(4))
        frame += struct.pack(">HHIIBBHHH", 9, 9, 0, 0, 0x50, 0x10, 0, 0, 0) + bytes(7000)
        wire.send(struct.pack("=BBHHHH", 1, 1, 54, 1400, 34, 16) + frame)
"""


def _from_the_wire(lab: Lab, node: LabNode, program: str, *arguments: object) -> Callable[[], None]:
    """Send to the node's native devices from the other end of their cables."""
    ports = [port_of(node, device) for device in lab.spec.devices]
    words = " ".join(shlex.quote(str(word)) for word in (sys.executable or "python3", "-I", "-S", "-", *arguments))
    script = f"{words} {' '.join(ports)} <<'END'\n{program}END\n"

    def send() -> None:
        lab.sandbox.run(script, netns=UNDERLAY)

    return send


@fault(
    "watch-late",
    description="the node's watch starts only after the flows have passed, though its start was confirmed",
    shows=DROPPED,
    source="a capture that is started in the background and not waited for; cilium/cilium issue 40456",
    catcher="capture.window",
    also=BLIND,
)
def watch_late(lab: Lab, node: LabNode) -> None:
    """Hold back the start of watches."""
    lab.wrap_transport(node, LateTransport)


@fault(
    "watch-early-end",
    description="the node's watch ends while flows are still on their way",
    shows=DROPPED,
    source="cilium-cli runs tcpdump under `timeout 60` and `-c 1000`: what comes after is not seen",
    catcher="capture.window",
    also=BLIND,
)
def watch_early_end(lab: Lab, node: LabNode) -> None:
    """End watches early."""
    lab.wrap_transport(node, lambda inner: EarlyTransport(inner, EARLY_SECONDS))


@fault(
    "watch-wrong-device",
    description="the node's watch is on cilium_host, where nothing between nodes ever passes",
    shows=DROPPED,
    source="cilium-cli takes the device from `ip route get`, which may be cilium_vxlan or the wrong of two",
    catcher="capture.devices",
    also=BLIND,
)
def watch_wrong_device(lab: Lab, node: LabNode) -> None:
    """Start watches on another device."""
    lab.wrap_transport(node, lambda inner: RewritingTransport(inner, {"devices": ["cilium_host"]}))


@fault(
    "watch-one-device",
    description="of the node's two native devices the watch is on the first alone",
    shows=DROPPED,
    source="a device that was added after the list of devices had been made",
    catcher="capture.devices",
    also=BLIND,
    devices=DEVICES,
)
def watch_one_device(lab: Lab, node: LabNode) -> None:
    """Leave the second device out."""
    lab.wrap_transport(node, lambda inner: RewritingTransport(inner, {"devices": [DEVICES[0]]}))


@fault(
    "tiny-ring",
    description="the node's capture has a ring of 8 KiB, and a burst of frames overruns it",
    shows="frames dropped by the kernel: what was in them nobody knows",
    source="a busy node with tcpdump's small default buffer; cilium-cli never reads what tcpdump says of drops",
    catcher="capture.no-drops",
    also=BLIND,
)
def tiny_ring(lab: Lab, node: LabNode) -> None:
    """Shrink the ring of watches and make a burst on the node's native devices."""
    burst = _from_the_wire(lab, node, _BURST, BURST_FRAMES)
    lab.wrap_transport(node, lambda inner: RewritingTransport(inner, TINY_RING, burst))


@fault(
    "frames-cut",
    description="the node's capture has room for 4 KiB of each frame, and a larger one comes",
    shows="a frame that was cut off: what was behind the cut nobody knows",
    source="tcpdump with a snap length, where network cards merge segments (GRO, LRO)",
    catcher="capture.whole-frames",
    also=BLIND,
)
def frames_cut(lab: Lab, node: LabNode) -> None:
    """Shrink the blocks of watches, and send one merged frame."""
    merged = _from_the_wire(lab, node, _MERGED)
    lab.wrap_transport(node, lambda inner: RewritingTransport(inner, SMALL_BLOCKS, merged))


@fault(
    "agent-dead",
    description="the node's agent is dead before the watch begins",
    shows="no watch on the node",
    source="an evicted pod, or one killed for its memory",
    catcher="capture.alive",
    also=BLIND,
)
def agent_dead(lab: Lab, node: LabNode) -> None:
    """Kill it."""
    kill(lab, lab.transport(node.name))


@fault(
    "agent-dies",
    description="the node's agent dies while its watch is running",
    shows="a watch that began and gives no result",
    source="an evicted pod, or one killed for its memory",
    catcher="capture.alive",
    also=BLIND,
)
def agent_dies(lab: Lab, node: LabNode) -> None:
    """Kill it when all flows have passed."""
    lab.wrap_transport(node, lambda inner: AfterFlowsTransport(inner, lambda: kill(lab, inner)))


def kill(lab: Lab, transport: AgentTransport) -> None:
    """Kill an agent, which knows its own process id."""
    pid = int(json.loads(transport.exchange(b'{"op":"hello"}\n', timeout=5))["pid"])
    lab.sandbox.run(f"kill -9 {pid}")


@fault(
    "device-vanishes",
    description="a native device of the node goes down for a moment while it is watched",
    shows="a capture that broke off in the middle",
    source="a network manager that reconfigures the device; a bond that fails over",
    catcher="capture.alive",
    also=(*BLIND, "state.steady"),
    devices=DEVICES,
)
def device_vanishes(lab: Lab, node: LabNode) -> None:
    """Set the second device down and up once the watch stands."""
    script = f"ip link set {DEVICES[1]} down; ip link set {DEVICES[1]} up"
    lab.wrap_transport(node, lambda inner: AfterStartTransport(inner, lambda: lab.run_in(node, script)))


@fault(
    "control-canary-unsent",
    description="the node cannot send its control canaries: something on it drops them",
    shows="nothing wrong with the cluster; but that the node's watch sees what the node sends is not proven",
    source="a tc or nftables program on the node that drops unknown EtherTypes",
    catcher="capture.control-sent",
    also=BLIND,
)
def control_canary_unsent(lab: Lab, node: LabNode) -> None:
    """Drop both kinds at the egress of the native devices, before a capture sees them."""
    for device in lab.spec.devices:
        lab.run_in(
            node,
            f"nft -f - <<'END'\nadd table netdev unsent\n"
            f'add chain netdev unsent {device} {{ type filter hook egress device "{device}" priority 0; }}\n'
            f"add rule netdev unsent {device} ether type 0x88b5 drop\n"
            f"add rule netdev unsent {device} udp dport 9 drop\nEND",
        )


@fault(
    "inside-deaf",
    description="the node's control canaries do not get into cilium_wg0: something drops them in front of it",
    shows="nothing wrong with the cluster; but that the watch sees what passes inside the tunnel is not proven",
    source="a tc or nftables program at cilium_wg0's egress that drops what it does not know",
    catcher="capture.inside",
    also=BLIND,
)
def inside_deaf(lab: Lab, node: LabNode) -> None:
    """Drop what goes to documentation addresses at the device's egress, before a capture sees it."""
    lab.run_in(
        node,
        f"nft -f - <<'END'\nadd table netdev deaf\n"
        f'add chain netdev deaf inside {{ type filter hook egress device "{lab.device}" priority 0; }}\n'
        f"add rule netdev deaf inside ip daddr 192.0.2.0/24 drop\nEND",
    )


# A program that has bound the ports on which the agent wants to serve.
_SQUATTER = """
import socket, sys, time
ready, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
held = []
for port in range(first, last):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        held.append(socket.socket(socket.AF_INET6, kind))
        held[-1].bind(("::", port))
open(ready, "w").close()
time.sleep(1 << 30)
"""


@fault(
    "port-taken",
    description="a program in the node's test pod has bound ports that flows need",
    shows="flows that cannot be served: neither reached nor judged",
    source="a sidecar that is injected into every pod",
    catcher="capture.agents",
    also=["wire.*", "size.*", "handshake.*"],
    families=[IPFamily.V6],
)
def port_taken(lab: Lab, node: LabNode) -> None:
    """Take the ports of the pair flows."""
    start(lab, node, "squatter", _SQUATTER, FIRST_PORT, FIRST_PORT + PORTS_TAKEN, netns=node.test_pod.netns)
