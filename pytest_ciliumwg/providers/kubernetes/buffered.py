"""A WebSocket that reads what there is at once. The library reads the server's first answer byte by byte.

With many connections in as many threads each of these reads gives way to the others, which takes seconds in all. And it
joins what it gets until it gets the end of a line alone, so that it may be given all that is before that at once.
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
        self._line: bytes | None = b""
        """What was handed out of the present line of the first answer's header; None behind it."""
        self.gettimeout = sock.gettimeout  # which is asked before each byte

    def recv(self, size: int) -> bytes:
        """Some bytes, at most `size`, or of the header a line or its end; none where the peer has closed."""
        data = self._ahead or self._sock.recv(max(size, _READ))
        if self._line is not None:
            line = data.partition(b"\n")[0]
            size = len(line) or 1
            ended = not line and not self._line.strip()
            self._line = None if ended else self._line + line if line else b""
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
