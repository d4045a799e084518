"""IP packets as the agent makes them itself, for control canaries that no socket would send."""

from __future__ import annotations

import socket
import struct

from .frames import ICMP, ICMP6, TCP, UDP, header_sum

_ECHO, _ECHO6 = 8, 128
_SYN = 0x5002
_WINDOW = 1024


NOWHERE = (socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.2"))
"""From and to documentation addresses (RFC 5737): no node has them, and no peer's allowed IPs hold them."""


def checksum(data: bytes) -> int:
    """The Internet checksum of some bytes."""
    data += b"\0" * (len(data) % 2)
    return ~header_sum(data, 0, len(data)) & 0xFFFF


def ip(source: bytes, destination: bytes, protocol: int, payload: bytes, ttl: int = 64) -> bytes:
    """An IPv4 or IPv6 packet between two packed addresses."""
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, ttl) + source + destination + payload
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0, ttl, protocol)
    whole = head + struct.pack(">H", checksum(head + source + destination)) + source + destination
    return whole + payload


def udp(source: bytes, destination: bytes, port: int, payload: bytes, ttl: int = 64) -> bytes:
    """A packet with a datagram from a port to the same port."""
    datagram = struct.pack(">HHHH", port, port, 8 + len(payload), 0) + payload
    return ip(source, destination, UDP, _checked(source, destination, UDP, datagram, 6), ttl)


def echo_request(source: bytes, destination: bytes, identifier: int, payload: bytes) -> bytes:
    """A packet with an ICMP or ICMPv6 echo request."""
    if len(source) == 4:
        message = struct.pack(">BBHHH", _ECHO, 0, 0, identifier, 1) + payload
        message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
        return ip(source, destination, ICMP, message)
    message = struct.pack(">BBHHH", _ECHO6, 0, 0, identifier, 1) + payload
    return ip(source, destination, ICMP6, _checked(source, destination, ICMP6, message, 2))


def syn(source: bytes, destination: bytes, ports: tuple[int, int], payload: bytes) -> bytes:
    """A packet that asks for a TCP connection from one port to another, and carries data already."""
    segment = struct.pack(">HHIIHHHH", *ports, 0, 0, _SYN, _WINDOW, 0, 0) + payload
    return ip(source, destination, TCP, _checked(source, destination, TCP, segment, 16))


def _checked(source: bytes, destination: bytes, protocol: int, message: bytes, at: int) -> bytes:
    """The message with its checksum, which covers the addresses too, at an offset."""
    pseudo = source + destination + struct.pack(">IHBB", len(message), 0, 0, protocol)
    return message[:at] + struct.pack(">H", checksum(pseudo + message)) + message[at + 2 :]


def packed(address: str) -> bytes:
    """An address as it is in a header."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
