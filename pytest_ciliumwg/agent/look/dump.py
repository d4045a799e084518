"""Ask the kernel for lists by rtnetlink, which takes no capability, and read what is nested in its answers."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Iterator

from ..capture import netlink

_SECONDS = 5.0
_LARGEST = 1 << 18
_INTERRUPTED = 0x10
"""The list changed while it was told, and may be wrong."""
_TRIES = 5


def dump(kind: int, body: bytes) -> list[bytes]:
    """The bodies of all messages of a list.

    Raises:
        OSError: the kernel refuses, or the list changes all the time.
    """
    for _ in range(_TRIES):
        found = _dump(kind, body)
        if found is not None:
            return found
    raise OSError(errno.EAGAIN, "the kernel's list changes while it is read")


def _dump(kind: int, body: bytes) -> list[bytes] | None:
    found: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_SECONDS)
        sock.send(netlink.request(kind, body, dump=True))
        while True:
            for message in netlink.messages(sock.recv(_LARGEST)):
                if message.flags & _INTERRUPTED:
                    return None
                if message.kind == netlink.DONE:
                    return found
                if message.kind == netlink.ERROR:
                    code = -struct.unpack_from("=i", message.body)[0]
                    raise OSError(code, os.strerror(code))
                found.append(message.body)


def nested(value: bytes) -> netlink.Attributes:
    """The attributes within one."""
    return netlink.attributes(value, 0)


def text(value: bytes) -> str:
    """A string."""
    return value.rstrip(b"\0").decode("utf-8", "replace")


def word(value: bytes) -> int:
    """A number of 32 bits, 0 where it is none."""
    return int(struct.unpack("=I", value)[0]) if len(value) == 4 else 0


def address(value: bytes) -> str:
    """An IP address."""
    return socket.inet_ntop(socket.AF_INET6 if len(value) == 16 else socket.AF_INET, value)


def names() -> dict[int, str]:
    """The devices' names by their numbers."""
    return dict(socket.if_nameindex())


def lines(value: bytes, header: struct.Struct) -> Iterator[tuple[bytes, bytes]]:
    """The records of an attribute whose first field is their length: (header, what follows it)."""
    at = 0
    while at + header.size <= len(value):
        length = struct.unpack_from("=H", value, at)[0]
        if length < header.size:
            return
        yield value[at : at + header.size], value[at + header.size : at + length]
        at += (length + 3) & ~3
