"""Call back for sockets that are ready, with as little work as epoll allows."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Poller:
    """Sockets and what to do when they are ready."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def add(self, sock: socket.socket, events: int, callback: Callable[[], None]) -> None:
        """Watch a socket."""
        self._epoll.register(sock.fileno(), events)
        self._callbacks[sock.fileno()] = callback

    def change(self, sock: socket.socket, events: int) -> None:
        """Watch a socket for something else."""
        self._epoll.modify(sock.fileno(), events)

    def drop(self, sock: socket.socket) -> None:
        """Close a socket and forget it; safe to repeat."""
        self._callbacks.pop(sock.fileno(), None)
        with contextlib.suppress(OSError):
            sock.close()

    def poll(self) -> None:
        """Call back once for each socket that is ready now."""
        for fileno, _ in self._epoll.poll(0, max(1, len(self._callbacks))):
            callback = self._callbacks.get(fileno)  # one before it may have dropped this one
            if callback is not None:
                callback()

    def close(self) -> None:
        """Forget all sockets; closing them is their owners' work."""
        self._epoll.close()
