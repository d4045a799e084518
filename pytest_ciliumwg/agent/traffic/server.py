"""Serve flows in a pod: answer every message, with the flow's reply canary, and count.

ICMP needs no server: the kernel answers echo requests.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Any, Callable

from . import payload
from .payload import LARGEST_MESSAGE
from .sockets import Stalls, end_when_silent, send_any_size

_BACKLOG = 64
_TICK = 0.2


class _Served:
    """One flow's server side: what came and what went."""

    def __init__(self, flow: dict[str, Any]) -> None:
        self.id = int(flow["id"])
        self.reply = bytes.fromhex(flow["reply"])
        self.count = 0
        self.first = self.last = 0.0

    def note(self) -> None:
        now = time.time()
        self.count += 1
        self.first = self.first or now
        self.last = now

    def row(self) -> dict[str, Any]:
        return {"id": self.id, "served": self.count, "first": self.first, "last": self.last}


class Server:
    """Listens for flows from construction until `stop`; `errors` names the flows that could not be served."""

    def __init__(self, flows: list[dict[str, Any]]) -> None:
        self.errors: dict[str, str] = {}
        self._served: list[_Served] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._stalls = Stalls(_TICK)
        for flow in flows:
            served = _Served(flow)
            self._served.append(served)
            try:
                self._listen(flow, served)
            except OSError as error:
                self.errors[str(served.id)] = "{} port {}: {}".format(flow["protocol"], flow["port"], error)
        self._end, woken = socket.socketpair()
        self._selector.register(woken, selectors.EVENT_READ, lambda: None)
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    def counts(self) -> list[dict[str, Any]]:
        """Rows of `{id, served, first, last}`; times are seconds since the epoch, 0 where nothing came."""
        return [served.row() for served in self._served]

    @property
    def stalled(self) -> float:
        """Seconds for which it could not answer at the longest, because it was not run."""
        return self._stalls.longest

    def stop(self) -> None:
        """Close every socket; safe to call twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._end.close()  # which wakes the thread
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _listen(self, flow: dict[str, Any], served: _Served) -> None:
        family = socket.AF_INET6 if ":" in flow["destination"] else socket.AF_INET
        stream = flow["protocol"] == "tcp"
        sock = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((flow["destination"], int(flow["port"])))
            sock.setblocking(False)
            if stream:
                sock.listen(_BACKLOG)
            else:
                send_any_size(sock)
        except OSError:
            sock.close()
            raise
        handler = self._accept if stream else self._answer
        self._selector.register(sock, selectors.EVENT_READ, lambda: handler(sock, served))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stalls.round()
            for key, _ in self._selector.select(_TICK):
                handle: Callable[[], None] = key.data
                handle()

    def _answer(self, sock: socket.socket, served: _Served) -> None:
        try:
            data, sender = sock.recvfrom(65535)
            served.note()
            sock.sendto(payload.datagram(payload.number_of(data), served.reply, len(data)), sender)
            served.last = time.time()
        except OSError:
            return  # an ICMP error to an earlier answer, or a full queue: the sender asks again

    def _accept(self, listener: socket.socket, served: _Served) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        end_when_silent(sock)
        incoming, outgoing = bytearray(), bytearray()
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._converse(sock, served, incoming, outgoing))

    def _converse(self, sock: socket.socket, served: _Served, incoming: bytearray, outgoing: bytearray) -> None:
        try:
            data = sock.recv(262144) if not outgoing else b"more"
            if not data:
                raise ConnectionResetError
            if not outgoing:
                incoming += data
            while True:
                found = payload.next_message(incoming, LARGEST_MESSAGE)
                if found is None:
                    break
                served.note()
                outgoing += payload.message(found[0], served.reply, found[1])
            if outgoing:
                del outgoing[: sock.send(outgoing)]
            events = selectors.EVENT_WRITE if outgoing else selectors.EVENT_READ
            self._selector.modify(sock, events, self._selector.get_key(sock).data)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self._selector.unregister(sock)
            sock.close()
