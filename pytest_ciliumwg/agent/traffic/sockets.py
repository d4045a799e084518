"""What sockets need for test traffic. Numbers are those of Linux' <linux/in.h> and <linux/in6.h>."""

from __future__ import annotations

import errno
import os
import socket
import time

_BIND_ADDRESS_NO_PORT = 24
OTHERS_PORTS = frozenset({51871, 8472, 4789, 6081, 4240})
"""WireGuard's, the overlays' and Cilium's health port: what we sent from one of them would be taken for theirs."""
_TRIES = 64
_SILENT_SECONDS, _PROBE_SECONDS, _PROBES = 30, 10, 3


class Stalls:
    """How long a thread that comes round at least every so many seconds was kept from it, at the longest."""

    def __init__(self, tick: float) -> None:
        self.longest = 0.0
        self._tick = tick
        self._last = time.monotonic()

    def round(self) -> None:
        """Note that it came round."""
        now = time.monotonic()
        self.longest = max(self.longest, now - self._last - self._tick)
        self._last = now


class NoPortError(OSError):
    """There is no port that a datagram of ours could be sent from."""


def bound_socket(kind: int, source: str) -> socket.socket:
    """A socket that sends from an address, and does not block; datagrams never from one of OTHERS_PORTS.

    A TCP socket gets its port with its peer: then ports that linger after a close are taken for that peer only. Nobody
    takes TCP for WireGuard or an overlay, whichever its ports.

    Raises:
        NoPortError: no other port is free.
        OSError: the address is not here.
    """
    for _ in range(_TRIES):
        sock = _bound(kind, source)
        if kind != socket.SOCK_DGRAM or sock.getsockname()[1] not in OTHERS_PORTS:
            return sock
        sock.close()
    raise NoPortError(errno.EADDRINUSE, "no UDP port is free but those of WireGuard, overlays and Cilium's health")


def _bound(kind: int, source: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise NoPortError(errno.EADDRINUSE, "no UDP port is free") from error
        raise
    return sock


def send_any_size(sock: socket.socket) -> None:
    """Let the kernel fragment what is larger than the path's MTU, with DF off."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, 23, 0)  # IPV6_MTU_DISCOVER = IPV6_PMTUDISC_DONT
    else:
        sock.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER = IP_PMTUDISC_DONT


def fragmenting(sock: socket.socket, forbidden: bool) -> None:
    """Set DF (and let the kernel refuse what is too large), or leave fragmenting to the kernel."""
    if not forbidden:
        send_any_size(sock)
    elif sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, 23, 2)  # IPV6_PMTUDISC_DO
        sock.setsockopt(socket.IPPROTO_IPV6, 62, 1)  # IPV6_DONTFRAG
    else:
        sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_PMTUDISC_DO


def end_when_silent(sock: socket.socket) -> None:
    """Let the kernel end a connection whose peer went away without a word, within about a minute."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def reason(error: Exception) -> str:
    """An error in the words of the kernel, without its number."""
    if isinstance(error, NoPortError):
        return str(error.strerror)
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


def route_mtu(destination: str) -> int:
    """The MTU of the route to an address, as this network namespace's kernel has it; sends nothing."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    level, discover, mtu = (41, 23, 24) if family == socket.AF_INET6 else (0, 10, 14)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, discover, 2)
        sock.connect((destination, 9))
        return sock.getsockopt(level, mtu)
