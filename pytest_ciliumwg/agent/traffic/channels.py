"""How the messages of a continuous flow travel: ICMP and UDP, over one socket or a new one for each message.

A channel takes numbers to send and reports answers and losses to the flow's account. An error never ends it: the
message is lost with the kernel's words, and the next one is tried in its time.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from .. import canary
from . import echo, payload
from .account import NO_ANSWER, Account
from .poller import READ, Poller
from .sockets import bound_socket, reason, send_any_size


class Channel:
    """One flow's way; `connections` counts the sockets that it opened."""

    def __init__(self, flow: dict[str, Any], account: Account, poller: Poller) -> None:
        self.account = account
        self.source = str(flow["source"])
        self.destination = str(flow["destination"])
        self.port = int(flow["port"])
        self.token = bytes.fromhex(flow["token"])
        self.size = int(flow["payload_size"])
        self.family = socket.AF_INET6 if ":" in self.destination else socket.AF_INET
        self.connections = 0
        self._poller = poller

    def send(self, number: int) -> None:
        """Put a message on its way; OSError says why it cannot go."""
        raise NotImplementedError

    def answered(self, number: int) -> None:
        """An answer came."""
        self.account.answer(number, time.monotonic())

    def give_up(self, _number: int) -> str:
        """Its time is over; returns why, as far as that is known."""
        return NO_ANSWER

    def close(self) -> None:
        """Close all sockets."""
        raise NotImplementedError

    def _open(self, kind: int) -> socket.socket:
        sock = bound_socket(kind, self.source)
        self.connections += 1
        return sock


class IcmpSockets:
    """The raw sockets that ICMP flows share, one for each source."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._sockets: dict[str, socket.socket] = {}
        self._flows: dict[tuple[str, str, int], Channel] = {}

    def add(self, channel: Channel) -> None:
        """Say whose the answers to a flow are."""
        self._flows[channel.source, channel.destination, channel.port] = channel

    def of(self, source: str) -> socket.socket:
        """The source's socket; it is opened when it is first needed, and OSError says why that failed."""
        sock = self._sockets.get(source)
        if sock is None:
            sock = echo.open_socket(socket.AF_INET6 if ":" in source else socket.AF_INET, source)
            send_any_size(sock)
            self._sockets[source] = sock
            taken = sock
            self._poller.add(sock, READ, lambda: self._hear(taken, source))
        return sock

    def close(self) -> None:
        """Close them all."""
        for sock in self._sockets.values():
            self._poller.drop(sock)

    def _hear(self, sock: socket.socket, source: str) -> None:
        try:
            while True:
                data, sender = sock.recvfrom(65535)
                found = echo.answer(sock.family, data)
                channel = self._flows.get((source, sender[0], found[0])) if found is not None else None
                if channel is not None and found is not None:
                    channel.answered(found[1])
        except OSError:
            return  # nothing more for now


class Icmp(Channel):
    """Echo requests."""

    def __init__(self, flow: dict[str, Any], account: Account, poller: Poller, sockets: IcmpSockets) -> None:
        super().__init__(flow, account, poller)
        self._sockets = sockets
        self._requests = echo.Requests(self.family, self.port, self.token, self.size)
        sockets.add(self)

    def send(self, number: int) -> None:
        """Send it, or raise OSError."""
        self._sockets.of(self.source).sendto(self._requests.packet(number), (self.destination, 0))

    def close(self) -> None:
        """The sockets are shared, and closed by their owner."""


class Udp(Channel):
    """Datagrams from one connected socket."""

    def __init__(self, flow: dict[str, Any], account: Account, poller: Poller) -> None:
        super().__init__(flow, account, poller)
        self._tail = canary.fill(self.token, self.size - 4)
        self._socket: socket.socket | None = None
        self._error = NO_ANSWER

    def send(self, number: int) -> None:
        """Send it, or raise OSError."""
        if self._socket is None:
            sock = self._socket = self._connect()
            self._poller.add(sock, READ, lambda: self._readable(sock))
        data = number.to_bytes(4, "big") + self._tail
        try:
            self._socket.send(data)
        except OSError as error:
            self._error = reason(error)
            self._socket.send(data)  # the error may be that of an earlier message; then this one was not sent yet

    def give_up(self, _number: int) -> str:
        """Say why it was not answered."""
        return self._error

    def close(self) -> None:
        """Close all sockets."""
        if self._socket is not None:
            self._poller.drop(self._socket)

    def _connect(self) -> socket.socket:
        sock = self._open(socket.SOCK_DGRAM)
        try:
            send_any_size(sock)
            sock.connect((self.destination, self.port))
        except OSError:
            sock.close()
            raise
        return sock

    def _readable(self, sock: socket.socket) -> None:
        try:
            while True:
                self.answered(payload.number_of(sock.recv(65535)))
                self._error = NO_ANSWER
        except BlockingIOError:
            return
        except OSError as error:
            self._error = reason(error)


class FreshUdp(Udp):
    """Each datagram from a socket of its own."""

    def __init__(self, flow: dict[str, Any], account: Account, poller: Poller) -> None:
        super().__init__(flow, account, poller)
        self._sockets: dict[int, socket.socket] = {}
        self._errors: dict[int, str] = {}

    def send(self, number: int) -> None:
        """Send it, or raise OSError."""
        sock = self._connect()
        self._sockets[number] = sock
        self._poller.add(sock, READ, lambda: self._hear(number, sock))
        sock.send(number.to_bytes(4, "big") + self._tail)

    def answered(self, number: int) -> None:
        """Note an answer, and close what it came by."""
        super().answered(number)
        self.give_up(number)

    def give_up(self, number: int) -> str:
        """Say why it was not answered, and close its socket."""
        sock = self._sockets.pop(number, None)
        if sock is not None:
            self._poller.drop(sock)
        return self._errors.pop(number, NO_ANSWER)

    def close(self) -> None:
        """Close all sockets."""
        for number in list(self._sockets):
            self.give_up(number)

    def _hear(self, number: int, sock: socket.socket) -> None:
        try:
            self.answered(payload.number_of(sock.recv(65535)))
        except BlockingIOError:
            return
        except OSError as error:
            self._errors[number] = reason(error)
