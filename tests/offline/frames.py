"""Frames and captures, made byte by byte."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from ipaddress import ip_address

MACS = {"one": b"\x02\0\0\0\0\x01", "two": b"\x02\0\0\0\0\x02"}


def ethernet(payload: bytes, source: bytes = MACS["one"], destination: bytes = MACS["two"], kind: int = 0) -> bytes:
    """A frame around an IP packet, or around another type."""
    kind = kind or {4: 0x0800, 6: 0x86DD}[payload[0] >> 4]
    return destination + source + struct.pack(">H", kind) + payload


def vlan(frame: bytes, tag: int) -> bytes:
    """The frame with a VLAN tag."""
    return frame[:12] + struct.pack(">HH", 0x8100, tag) + frame[12:]


def ip(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """A packet of the addresses' family."""
    ends = ip_address(source).packed + ip_address(destination).packed
    if len(ends) == 32:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + ends + payload
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0) + ends + payload


def udp(source: int, destination: int, payload: bytes) -> bytes:
    """A datagram."""
    return struct.pack(">HHHH", source, destination, 8 + len(payload), 0x1234) + payload


def echo(source: str, destination: str, kind: int = 8) -> bytes:
    """An ICMP echo request, or its reply."""
    return ip(source, destination, 1, bytes([kind, 0]) + bytes(62))


def wireguard(source: str, destination: str, kind: int = 4, size: int = 128) -> bytes:
    """A WireGuard message."""
    return ip(source, destination, 17, udp(51871, 51871, bytes([kind, 0, 0, 0]) + bytes(size - 4)))


def vxlan(outer: tuple[str, str], inner: bytes, port: int = 8472) -> bytes:
    """A packet in VXLAN."""
    return ip(*outer, 17, udp(40000, port, bytes([8, 0, 0, 0, 0, 0, 7, 0]) + ethernet(inner)))


def geneve(outer: tuple[str, str], inner: bytes, options: int = 2, port: int = 6081) -> bytes:
    """A packet in Geneve, with options."""
    header = bytes([options, 0]) + struct.pack(">H", 0x6558) + bytes(4 + 4 * options)
    return ip(*outer, 17, udp(40000, port, header + ethernet(inner)))


def pcap(frames: Sequence[bytes], *, at: float = 1000.0, nanoseconds: bool = False, order: str = "<") -> bytes:
    """A capture, a frame each millisecond."""
    magic, unit = (0xA1B23C4D, 1_000_000_000) if nanoseconds else (0xA1B2C3D4, 1_000_000)
    rows = []
    for number, frame in enumerate(frames):
        seconds, fraction = divmod(round((at + number / 1000) * unit), unit)
        rows.append(struct.pack(f"{order}IIII", seconds, fraction, len(frame), len(frame)) + frame)
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1) + b"".join(rows)


def pcapng(
    frames: Sequence[bytes], *, name: str = "eth0", at: float = 1000.0, drops: int | None = None, filtered: str = ""
) -> bytes:
    """The same in the newer format, with the interface's name and its statistics."""
    blocks = [_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    kept = _option(11, b"\0" + filtered.encode()) if filtered else b""
    options = _option(2, name.encode()) + _option(9, b"\x09") + kept + _option(0, b"")
    blocks.append(_block(1, struct.pack("<HHI", 1, 0, 160) + options))
    for number, frame in enumerate(frames):
        high, low = divmod(round((at + number / 1000) * 1_000_000_000), 1 << 32)
        blocks.append(_block(6, struct.pack("<IIIII", 0, high, low, len(frame), len(frame)) + frame))
    if drops is not None:
        blocks.append(_block(5, struct.pack("<III", 0, 0, 0) + _option(5, struct.pack("<Q", drops)) + _option(0, b"")))
    return b"".join(blocks)


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def zipped(data: bytes) -> bytes:
    """Behind gzip."""
    return gzip.compress(data, mtime=0)
