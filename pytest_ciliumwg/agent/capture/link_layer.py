"""Devices without an Ethernet header: tun, WireGuard and Tailscale devices and other tunnels as the nodes' network.

There a frame is an IP packet. What reads frames wants the same place for the same header, so such a packet is read
behind an Ethernet header of zeros, which was never on the wire.
"""

from __future__ import annotations

import socket

HEADER = 14
_NOBODY = bytes(12)


def has_ethernet(device: str) -> bool:
    """Whether frames on a device begin with an Ethernet header.

    Raises:
        OSError: the device does not exist.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        return len(sock.getsockname()[4]) == 6


def with_ethernet(packet: bytes) -> bytes:
    """An IP packet behind a header of zeros."""
    return _NOBODY + (b"\x86\xdd" if packet[:1] >= b"\x60" else b"\x08\x00") + packet


def is_made_up(frame: bytes) -> bool:
    """Whether a frame's Ethernet header is one of zeros."""
    return frame.startswith(_NOBODY)


def send_packet(device: str, packet: bytes) -> None:
    """Send an IP packet out of a device without Ethernet headers, or into one.

    Raises:
        OSError: the device is not there, is down, or takes none.
    """
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        sock.sendto(packet, (device, kind))
