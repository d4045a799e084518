"""Control canaries: what proves that a watch hears cleartext on the native devices, and packets inside the tunnel.

On the native devices a node sends them to every other by several ways, because a network may carry some of them
only, and Cilium itself may encrypt others: with node encryption, all that passes a native device's egress program. The
last two go past it (and past all queueing), in a frame that is made here; no packet socket of the sender sees those
leave. That it hears what leaves, a watch learns from the broadcast frame.
"""

from __future__ import annotations

import os
import socket
from typing import Callable, Sequence

from .. import canary
from . import packets
from .inside import AWAY
from .link_layer import send_packet
from .next_hop import next_hop

CONTROL_ETHERTYPE = 0x88B5
DATAGRAM_PORT, HEALTH_PORT = 9, 4240
_PORTS = (61000, 65000)
"""Where connections to the health port come from: above the ports that Linux gives to clients."""
_SOL_PACKET, _QDISC_BYPASS = 263, 20
_SIZE = 64

Target = Callable[[str, bytes], None]


def send_control(
    devices: Sequence[str], token: bytes, targets: Sequence[str], ways: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Broadcast a control canary on each device, and send it to `targets` (addresses) by these of the `WAYS`.

    On a device without Ethernet headers, which has no broadcast, it goes to nowhere; its own watch sees it.

    Returns a sentence for each device on which it could not be sent, and for each target and way.
    """
    payload = canary.fill(token, _SIZE)
    problems: list[str] = []
    for device in devices:
        try:
            _broadcast(device, payload)
        except OSError as error:
            problems.append(f"control canary on {device}: {error}")
    unreached: list[str] = []
    for target in targets:
        for way in ways:
            try:
                WAYS[way](target, payload)
            except OSError as error:
                unreached.append(f"control canary to {target} by {way}: {error}")
    return problems, unreached


def send_inside(device: str, token: bytes) -> bool:
    """Put a control canary into the WireGuard device; returns whether the device is there and up.

    It is an IPv4 packet between two documentation addresses: the watch sees it, no peer is woken by it, and WireGuard
    drops it, since it has no peer for it.
    """
    try:
        send_packet(device, packets.udp(*packets.NOWHERE, DATAGRAM_PORT, canary.fill(token, _SIZE), ttl=1))
    except OSError as error:
        # Any other error is somebody's who drops it: then the watch does not see it, and says so.
        return error.errno not in AWAY
    return True


def _broadcast(device: str, payload: bytes) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        mac = sock.getsockname()[4]
        if len(mac) != 6:
            send_packet(device, packets.udp(*packets.NOWHERE, DATAGRAM_PORT, payload, ttl=1))
            return
        sock.send(b"\xff" * 6 + mac + CONTROL_ETHERTYPE.to_bytes(2, "big") + payload)


def _datagram(target: str, payload: bytes) -> None:
    with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(payload, (target, DATAGRAM_PORT))


def _echo(target: str, payload: bytes) -> None:
    identifier = os.getpid() & 0xFFFF
    _past_the_qdisc(target, lambda source, to: packets.echo_request(source, to, identifier, payload))


def _health(target: str, payload: bytes) -> None:
    first, last = _PORTS
    ports = (first + os.getpid() % (last - first), HEALTH_PORT)
    _past_the_qdisc(target, lambda source, to: packets.syn(source, to, ports, payload))


def _past_the_qdisc(target: str, make: Callable[[bytes, bytes], bytes]) -> None:
    to = packets.packed(target)
    hop = next_hop(to)
    packet = make(hop.source, to)
    kind = 0x0800 if len(to) == 4 else 0x86DD
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        sock.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
        sock.sendto(packet, (hop.device, kind, 0, 0, hop.ethernet))


WAYS: dict[str, Target] = {
    "UDP to port 9": _datagram,
    "ICMP echo": _echo,
    "TCP to port 4240": _health,
}
"""How a control canary goes to another node beside the broadcast, in the order in which they are tried."""
BROADCAST = "broadcast"
_LAYERS = {
    f"0x{CONTROL_ETHERTYPE:04x}": BROADCAST,
    f"udp:{DATAGRAM_PORT}": "UDP to port 9",
    "icmp": "ICMP echo",
    "icmpv6": "ICMP echo",
    f"tcp:{HEALTH_PORT}": "TCP to port 4240",
}


def way_of(layers: str) -> str:
    """By which way a control canary came whose frame is described so."""
    return _LAYERS.get(layers.rpartition("/")[2], layers)
