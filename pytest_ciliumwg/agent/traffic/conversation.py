"""One flow from a pod, by ICMP, UDP or TCP, and its account of every message: lost, doubled, late, refused."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections import deque
from typing import Any

from . import echo, payload
from .pace import Pace
from .questions import Questions
from .sockets import bound_socket, fragmenting, reason

_ROUNDS = 3
"""How often unanswered messages are sent again before they count as lost."""
_ROUND_SECONDS = 0.4
_ROUND_TRIPS = 10
"""A TCP connection has the time for so many at least: it needs four or five."""


class Conversation:
    """The sender's side of one flow; subclasses know a transport.

    `count` messages go out `interval` seconds apart; what is unanswered is repeated `rounds` times. All flows of a
    sender share its pace, and wait the longer the slower it is.
    """

    def __init__(self, flow: dict[str, Any], pace: Pace) -> None:
        self.id = int(flow["id"])
        self.pace = pace
        self.source = str(flow["source"])
        self.destination = str(flow["destination"])
        self.port = int(flow["port"])
        self.token = bytes.fromhex(flow["token"])
        self.size = int(flow["payload_size"])
        domain = str(flow.get("dns_domain") or "")
        self.messages = Questions(self.token, domain) if domain else payload.Messages(self.token, self.size)
        self.count = int(flow["count"])
        self.interval = float(flow["interval"])
        self.until_reply = bool(flow.get("until_reply"))
        self.round_seconds = _ROUND_SECONDS * float(flow.get("patience", 1.0))
        self.rounds = int(flow.get("rounds", _ROUNDS))
        self.family = socket.AF_INET6 if ":" in self.destination else socket.AF_INET
        self.started = self.finished = 0.0
        self.sent = self.repeated = self.duplicates = self.reordered = 0
        self.answered: set[int] = set()
        self.error: str | None = None
        self.due = time.monotonic()
        self._queue = deque(range(self.count))
        self._round = 0
        self._highest = -1
        self._last = 0.0

    @property
    def done(self) -> bool:
        """Whether every message is answered or given up."""
        enough = 1 if self.until_reply else self.count
        return self.error is not None or len(self.answered) >= enough

    def transmit(self, number: int) -> None:
        """Put one message on the wire; OSError ends the flow with that reason."""
        raise NotImplementedError

    def step(self, now: float) -> None:
        """Send what is due."""
        if self.done or now < self.due:
            return
        if not self._queue:
            self._next_round(now)
            return
        number = self._queue.popleft()
        self.started = self.started or time.time()
        try:
            self.transmit(number)
        except BlockingIOError:
            self._queue.appendleft(number)
        except OSError as error:
            self.error = reason(error)
            return
        else:
            self.sent += self._round == 0
            self.repeated += self._round > 0
            self.pace.sent(self.id, number, now)
        self._last = now
        self.due = now + (self.interval if self._queue else self.round_seconds)

    def answer(self, number: int) -> None:
        """Note one answer."""
        self.finished = time.time()
        self.pace.answered(self.id, number, time.monotonic())
        if number in self.answered:
            self.duplicates += self.repeated == 0
            return
        self.reordered += number < self._highest and self.repeated == 0
        self._highest = max(self._highest, number)
        self.answered.add(number)

    def close(self) -> None:
        """Give sockets back."""

    def row(self) -> dict[str, Any]:
        """The flow's account."""
        error = self.error
        if error is None and not self.done:
            error = self._unanswered()
        return {
            "id": self.id,
            "sent": self.sent,
            "repeated": self.repeated,
            "received": len(self.answered),
            "bytes": (self.sent + self.repeated) * self.size,
            "duplicates": self.duplicates,
            "reordered": self.reordered,
            "error": error,
            "refused": False,
            "unfinished": self.error is None and not self.done and not self.until_reply,
            "started": self.started,
            "finished": self.finished or time.time(),
        }

    def _unanswered(self) -> str:
        return f"no answer to {self.count - len(self.answered)} of {self.count} messages"

    def _next_round(self, now: float) -> None:
        patient_until = self._last + self.pace.patient(self.round_seconds)
        if now < patient_until:
            self.due = patient_until
            return
        self._round += 1
        if self._round > self.rounds and not self.until_reply:
            self.error = self._unanswered()
            return
        self._queue = deque(number for number in range(self.count) if number not in self.answered)
        self.due = now


class Icmp(Conversation):
    """Echo requests; the flow's port is their identifier."""

    def __init__(self, flow: dict[str, Any], pace: Pace, sock: socket.socket) -> None:
        super().__init__(flow, pace)
        self.socket = sock

    def transmit(self, number: int) -> None:
        """Send one echo request."""
        data = payload.datagram(number, self.token, self.size)
        packet = echo.request(self.family, self.port, number, data)
        self.socket.sendto(packet, (self.destination, 0))


class Udp(Conversation):
    """Datagrams from one connected socket."""

    def __init__(self, flow: dict[str, Any], pace: Pace, selector: selectors.BaseSelector) -> None:
        super().__init__(flow, pace)
        self._socket = bound_socket(socket.SOCK_DGRAM, self.source)
        fragmenting(self._socket, bool(flow.get("dont_fragment")))
        self._socket.connect((self.destination, self.port))
        selector.register(self._socket, selectors.EVENT_READ, self.readable)

    def transmit(self, number: int) -> None:
        """Send one datagram."""
        try:
            self._socket.send(self.messages.datagram(number))
        except ConnectionRefusedError:
            raise BlockingIOError from None  # an ICMP error to an earlier one: this one was not sent

    def readable(self) -> None:
        """Take one answer."""
        try:
            self.answer(self.messages.number_of(self._socket.recv(65535)))
        except (OSError, ValueError):
            return  # the ICMP error, or what is no answer, is on record as a missing answer

    def close(self) -> None:
        """Close its socket."""
        self._socket.close()


class Tcp(Conversation):
    """One connection: all messages in order, then an orderly close."""

    def __init__(self, flow: dict[str, Any], pace: Pace, selector: selectors.BaseSelector) -> None:
        super().__init__(flow, pace)
        self._selector = selector
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._seconds = float(flow["timeout"])
        self._begun = time.monotonic()
        self._socket = bound_socket(socket.SOCK_STREAM, self.source)
        self._connected = False
        self.due = self._begun + self._seconds
        self._selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self.ready)
        self.started = time.time()
        self._socket.connect_ex((self.destination, self.port))

    def step(self, now: float) -> None:
        """Give up when its time is over; all else follows from what the socket says."""
        if self.done or now <= self.due:
            return
        self.due = self._begun + max(self._seconds, _ROUND_TRIPS * self.pace.typical)
        if now > self.due:
            self._end("no connection" if not self._connected else "the connection stalled")

    def ready(self) -> None:
        """Go on with connecting, sending or receiving."""
        try:
            self._advance()
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._end(reason(error))

    def _advance(self) -> None:
        if not self._connected:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            self._socket.getpeername()
            self._connected = True
            for number in range(self.count):
                self._outgoing += self.messages.message(number)
            self.sent = self.count
        if self._outgoing:
            del self._outgoing[: self._socket.send(self._outgoing)]
            if not self._outgoing:
                self._selector.modify(self._socket, selectors.EVENT_READ, self.ready)
        self._receive()

    def _receive(self) -> None:
        data = self._socket.recv(262144)
        if not data:
            raise OSError("the peer closed the connection early")
        self._incoming += data
        while True:
            found = self.messages.next_message(self._incoming)
            if found is None:
                break
            self.answer(found[0])
        if self.done:
            self._end(None)

    def _end(self, error: str | None) -> None:
        """Close in order, with FIN: an open socket that is not read would wake the selector for ever."""
        self.error = error
        self._selector.unregister(self._socket)
        self._socket.close()

    def close(self) -> None:
        """Close its socket."""
        self._socket.close()
