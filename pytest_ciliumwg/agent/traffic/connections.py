"""How the messages of a continuous flow travel over TCP: on one connection, or each on one of its own."""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Any

from . import payload
from .account import NO_ANSWER, Account
from .channels import Channel
from .poller import READ, WRITE, Poller
from .sockets import reason

_STALLED_SECONDS = 10.0
_CONNECT_SECONDS = 1.0
_MOST_UNSENT = 1 << 20


class Connection:
    """One TCP connection, from connect to close; what is sent before it stands goes out when it does."""

    def __init__(self, channel: Channel, sock: socket.socket, poller: Poller) -> None:
        self.error = ""
        """Why it broke; empty while it did not."""
        self.connected = False
        self._channel = channel
        self._poller = poller
        self._socket = sock
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._writing = True
        poller.add(sock, READ | WRITE, self._ready)
        code = sock.connect_ex((channel.destination, channel.port))
        if code not in (0, errno.EINPROGRESS):
            self._break(os.strerror(code))

    def send(self, number: int) -> None:
        """Queue a message; a broken connection raises OSError."""
        if self.error:
            raise ConnectionError(self.error)
        if len(self._outgoing) > _MOST_UNSENT:
            raise ConnectionError("the connection stalled")
        self._outgoing += payload.message(number, self._channel.token, self._channel.size)
        if self.connected:
            self._flush()
            if self.error:
                raise ConnectionError(self.error)

    def close(self) -> None:
        """Close it in order."""
        self._poller.drop(self._socket)

    def _ready(self) -> None:
        if not self.connected:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._break(os.strerror(code))
                return
            self.connected = True
        self._receive()
        if not self.error and self._socket.fileno() >= 0:
            self._flush()

    def _flush(self) -> None:
        try:
            if self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._break(reason(error))
            return
        if bool(self._outgoing) != self._writing:
            self._writing = bool(self._outgoing)
            self._poller.change(self._socket, READ | WRITE if self._writing else READ)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(262144)
            if not data:
                self._break("the peer closed the connection")
                return
            self._incoming += data
            while True:
                found = payload.next_message(self._incoming, payload.LARGEST_MESSAGE)
                if found is None:
                    return
                self._channel.answered(found[0])
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._break(reason(error))

    def _break(self, why: str) -> None:
        self.error = why
        self.close()


class Tcp(Channel):
    """Messages over one connection, which is made anew when it broke, or when nothing is answered any more."""

    def __init__(self, flow: dict[str, Any], account: Account, poller: Poller) -> None:
        super().__init__(flow, account, poller)
        self._connection: Connection | None = None
        self._last_answer = 0.0
        self._error = ""

    def send(self, number: int) -> None:
        """Send it, or raise OSError."""
        now = time.monotonic()
        connection = self._connection
        if connection is not None and (connection.error or now - self._last_answer > _silence_allowed(connection)):
            connection.close()
            self._error = connection.error
            self._connection = connection = None
        if connection is None:
            connection = self._connection = Connection(self, self._open(socket.SOCK_STREAM), self._poller)
            self._last_answer = now
        connection.send(number)

    def answered(self, number: int) -> None:
        """Note an answer."""
        super().answered(number)
        self._last_answer = time.monotonic()
        self._error = ""

    def give_up(self, _number: int) -> str:
        """Say why it was not answered."""
        return (self._connection.error if self._connection is not None else "") or self._error or NO_ANSWER

    def close(self) -> None:
        """Close all sockets."""
        if self._connection is not None:
            self._connection.close()


def _silence_allowed(connection: Connection) -> float:
    """A connection that does not come about is tried anew sooner: the kernel's own tries become rare quickly."""
    return _STALLED_SECONDS if connection.connected else _CONNECT_SECONDS


class FreshTcp(Channel):
    """A connection for each message."""

    def __init__(self, flow: dict[str, Any], account: Account, poller: Poller) -> None:
        super().__init__(flow, account, poller)
        self._connections: dict[int, Connection] = {}

    def send(self, number: int) -> None:
        """Send it, or raise OSError."""
        connection = Connection(self, self._open(socket.SOCK_STREAM), self._poller)
        self._connections[number] = connection
        connection.send(number)

    def answered(self, number: int) -> None:
        """Note an answer, and close what it came by."""
        super().answered(number)
        self.give_up(number)

    def give_up(self, number: int) -> str:
        """Say why it was not answered, and close its connection."""
        connection = self._connections.pop(number, None)
        if connection is None:
            return NO_ANSWER
        connection.close()
        return connection.error or NO_ANSWER

    def close(self) -> None:
        """Close all sockets."""
        for number in list(self._connections):
            self.give_up(number)
