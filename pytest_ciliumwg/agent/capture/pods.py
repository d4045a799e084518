"""Packets between pods, in cleartext on native devices: seen by their headers alone, whoever's they are.

The kernel hands over headers and nothing behind them, so no payload of other people's is ever in our memory. What is
counted is who sent to whom; which of these addresses are pods that must not talk in cleartext, the controller knows.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any, NamedTuple, Sequence, Tuple

from .link_layer import has_ethernet, send_packet, with_ethernet
from .machines import Machines
from .overlays import GENEVE, overlay
from .pod_filter import Network, pod_filter
from .ring import RETIRE_MS, Frame, Ring, read_out
from .wireguard import address_text

RING_BLOCK, RING_BLOCKS = 1 << 14, 128
"""Blocks of headers alone; as many as those of the other rings, so that all last as long."""
CONTROL_PROTOCOL = 253
"""IP's protocol number for experiments (RFC 3692): that of the control packets."""
_MOST_CONVERSATIONS = 4096
_ETHERNET, _TUNNEL_HEADER = 14, 8
_TCP, _UDP = 6, 17
_WITH_PORTS = (_TCP, _UDP, 132)


class PodNetworks(NamedTuple):
    """What a watch is told of pods."""

    networks: list[Network]
    """Networks that hold all pods' addresses; they may hold more."""
    ours: frozenset[bytes]
    """The test pods' addresses: what runs between two of them the flows' own watch sees."""
    controls: list[bytes]
    """One address of each family, in none of these networks, from which to itself control packets go."""


class Conversation(NamedTuple):
    """What packets are counted by."""

    source: bytes
    destination: bytes
    protocol: int
    device: str
    outgoing: bool
    tunnel: str
    """`vxlan`, `geneve`, or nothing."""


class _Seen:
    def __init__(self, at: float, ports: tuple[int, int]) -> None:
        self.count = 0
        self.first = self.last = at
        self.ports = ports


class PodWatch:
    """Counts conversations between pods on some devices from construction until `close`.

    Raises:
        OSError: a device is missing, CAP_NET_RAW is, or there is no memory for the rings.
        ValueError: there are too many networks.
    """

    def __init__(
        self, devices: Sequence[str], pods: PodNetworks, machines: Machines, retire_ms: int = RETIRE_MS
    ) -> None:
        self._pods = pods
        self._machines = machines
        self.foreign: dict[str, int] = dict.fromkeys(devices, 0)
        """Packets between machines that are no nodes of this cluster, which are not told apart."""
        self._seen: dict[Conversation, _Seen] = {}
        self._controls: dict[tuple[str, int], None] = {}
        self._forgotten = 0
        self.rings: list[Ring] = []
        networks = [*pods.networks, *((address, 8 * len(address)) for address in pods.controls)]
        try:
            self._ethernet = {device: has_ethernet(device) for device in devices}
            for device, ethernet in self._ethernet.items():
                program = pod_filter(networks, ethernet=ethernet)
                self.rings.append(Ring(device, RING_BLOCK, RING_BLOCKS, program, retire_ms))
        except BaseException:
            self.close()
            raise

    def read(self) -> None:
        """Count what has come since the last call."""
        for ring in self.rings:
            for block in ring.ready_blocks():
                for frame in ring.frames(block):
                    self._take(ring, frame)

    def _take(self, ring: Ring, frame: Frame) -> None:
        headers = ring.memory[frame.start : frame.end]
        if not self._ethernet[ring.device]:
            headers = with_ethernet(headers)
        found = conversation(headers)
        if found is None:
            return
        source, destination, protocol, ports, tunnel = found
        if protocol == CONTROL_PROTOCOL and source == destination and frame.outgoing:
            self._controls[ring.device, 4 if len(source) == 4 else 6] = None
            return
        if source in self._pods.ours and destination in self._pods.ours:
            return
        if self._machines.are_others(frame, headers):
            self.foreign[ring.device] += 1
            return
        key = Conversation(source, destination, protocol, ring.device, frame.outgoing, tunnel)
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= _MOST_CONVERSATIONS:
                self._forgotten += 1
                return
            seen = self._seen[key] = _Seen(frame.seconds, ports)
        seen.count += 1
        seen.last = frame.seconds

    def drain(self) -> None:
        """Take no more, and read what the kernel took until now."""
        read_out(self.rings, self.read)

    def take_error(self) -> None:
        """Take the kernel's errors away, which would wake poll for ever; the flows' own rings tell them."""
        for ring in self.rings:
            ring.take_error()

    def report(self) -> dict[str, Any]:
        """`{missed, controls: [[device, 4 or 6]], conversations}`.

        Each conversation is `[source, destination, protocol, device, outgoing, tunnel, count, first, last, source port,
        destination port]`.
        """
        return {"missed": self.missed(), "controls": list(self._controls), "conversations": self._rows()}

    def missed(self) -> int:
        """How many packets were not counted."""
        return sum(ring.statistics().drops for ring in self.rings) + self._forgotten

    def take(self) -> tuple[list[list[Any]], set[tuple[str, int]]]:
        """The conversations and the devices and families with a control packet since the last call."""
        rows, controls = self._rows(), set(self._controls)
        self._seen.clear()
        self._controls.clear()
        return rows, controls

    @property
    def control_addresses(self) -> list[bytes]:
        """From where to where its control packets go."""
        return self._pods.controls

    def _rows(self) -> list[list[Any]]:
        rows: list[list[Any]] = []
        for key, seen in self._seen.items():
            ends = [address_text(key.source), address_text(key.destination)]
            rows.append([*ends, *key[2:], seen.count, seen.first, seen.last, *seen.ports])
        return rows

    def close(self) -> None:
        """Free the rings."""
        for ring in self.rings:
            ring.close()


_Found = Tuple[bytes, bytes, int, Tuple[int, int], str]


def conversation(headers: bytes) -> _Found | None:
    """(source, destination, protocol, ports, tunnel) of the innermost IP header; None where the bytes are none."""
    try:
        kind = struct.unpack_from(">H", headers, 12)[0]
        payload = _datagram(kind, headers)
        tunnel = overlay(headers, payload - 6, payload) if payload else ""
        options = (headers[payload] & 0x3F) * 4 if tunnel == GENEVE else 0
        return _ip(headers, payload + _TUNNEL_HEADER + options if tunnel else 0, tunnel)
    except (IndexError, struct.error):
        return None


def _datagram(kind: int, headers: bytes) -> int:
    """Where a UDP datagram's payload begins; 0 where the frame holds none."""
    if kind == 0x0800:
        protocol, transport = headers[_ETHERNET + 9], _ETHERNET + (headers[_ETHERNET] & 15) * 4
    else:
        protocol, transport = headers[_ETHERNET + 6], _ETHERNET + 40
    if protocol != _UDP or len(headers) < transport + 8:
        return 0
    return transport + 8


def _ip(headers: bytes, ethernet: int, tunnel: str) -> _Found | None:
    kind, at = struct.unpack_from(">H", headers, ethernet + 12)[0], ethernet + _ETHERNET
    if kind == 0x0800:
        protocol, transport = headers[at + 9], at + (headers[at] & 15) * 4
        source, destination = headers[at + 12 : at + 16], headers[at + 16 : at + 20]
        first = not struct.unpack_from(">H", headers, at + 6)[0] & 0x1FFF
    elif kind == 0x86DD:
        protocol, transport, first = headers[at + 6], at + 40, True
        source, destination = headers[at + 8 : at + 24], headers[at + 24 : at + 40]
    else:
        return None
    if len(destination) not in (4, 16):
        return None
    with_ports = protocol in _WITH_PORTS and first and len(headers) >= transport + 4
    ports = struct.unpack_from(">HH", headers, transport) if with_ports else (0, 0)
    return source, destination, protocol, ports, tunnel


def send_pod_controls(devices: Sequence[str], addresses: Sequence[bytes]) -> None:
    """Send a control packet from each of these addresses to itself out of each device, to its own Ethernet address.

    A switch drops what would go back. Errors are not told: the watch says that it did not see it.
    """
    for device in devices:
        for address in addresses:
            with contextlib.suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
                sock.bind((device, 0))
                mac = sock.getsockname()[4]
                if len(mac) == 6:
                    sock.send(mac + mac + _control(address))
                else:
                    send_packet(device, _control(address)[2:])


def _control(address: bytes) -> bytes:
    if len(address) == 4:
        header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 1, CONTROL_PROTOCOL, 0, address, address)
        return b"\x08\x00" + header + bytes(20)
    return b"\x86\xdd" + struct.pack(">IHBB16s16s", 6 << 28, 20, CONTROL_PROTOCOL, 1, address, address) + bytes(20)
