"""A WebSocket that reads what there is at once. The library reads the server's first answer byte by byte.

With many connections in as many threads each of these reads gives way to the others, which takes seconds in all.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

    from websocket import WebSocket

_READ = 1 << 16


class BufferedSocket:
    """A socket that hands out what it has read ahead; all else is the socket's own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ahead = b""
        self.gettimeout = sock.gettimeout  # which is asked before each byte

    def recv(self, size: int) -> bytes:
        """Some bytes, at most `size`; none where the peer has closed."""
        data = self._ahead or self._sock.recv(max(size, _READ))
        self._ahead = data[size:]
        return data[:size]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@cache
def buffered_websocket() -> type[WebSocket]:
    """The library's class, over such a socket."""
    from websocket import WebSocket

    class BufferedWebSocket(WebSocket):
        @property
        def sock(self) -> Any:
            return self._buffered

        @sock.setter
        def sock(self, sock: socket.socket | None) -> None:
            self._buffered = None if sock is None else BufferedSocket(sock)

    return BufferedWebSocket
