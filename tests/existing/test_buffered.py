"""The WebSocket's first answer is read at once, not byte by byte, and nothing that came with it is lost."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading

from pytest_ciliumwg.providers.kubernetes.buffered import BufferedSocket, buffered_websocket

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Of RFC 6455: what a server answers follows from it and the client's key."""


def test_what_is_read_ahead_is_handed_out_first() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        buffered = BufferedSocket(ours)
        theirs.sendall(b"HTTP/1.1 101\r\n\r\nframe")
        assert [buffered.recv(1) for _ in range(4)] == [b"HTTP/1.1 101\r", b"\n", b"\r", b"\n"], "a line and its end"
        assert [buffered.recv(1), buffered.recv(100)] == [b"f", b"rame"], "behind the header no more than is asked for"
        theirs.sendall(b"x" * 70000)
        received = b""
        while len(received) < 70000:
            received += buffered.recv(70000)
        theirs.close()
        assert buffered.recv(1) == b""
        buffered.settimeout(3.0)
        assert ours.gettimeout() == 3.0


def test_a_frame_that_comes_with_the_answer() -> None:
    reads = 0

    class Counting(socket.socket):
        def recv(self, *size: int) -> bytes:
            nonlocal reads
            reads += 1
            return super().recv(*size)

    ours, theirs = socket.socketpair()
    counting = Counting(fileno=ours.detach())

    def serve() -> None:
        asked = theirs.recv(4096).decode()
        key = asked.partition("Sec-WebSocket-Key: ")[2].split("\r\n")[0]
        accepted = base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest())
        told = (
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accepted
        )
        theirs.sendall(told + b"\r\n\r\n\x82\x03one\x82\x03two")

    with counting, theirs:
        threading.Thread(target=serve, daemon=True).start()
        connection = buffered_websocket()()
        connection.connect("ws://server/", socket=counting, suppress_origin=True)  # type: ignore[no-untyped-call]
        assert [connection.recv(), connection.recv()] == [b"one", b"two"]
    assert reads == 1


def test_a_header_that_comes_in_pieces() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        buffered, found = BufferedSocket(ours), []
        for piece in (b"HTTP/1.1", b" 101\r", b"\n", b"A: b\n\r\nf\n"):
            theirs.sendall(piece)
            found.append(buffered.recv(1))
        found += [buffered.recv(1) for _ in range(5)]
        assert found == [b"HTTP/1.1", b" 101\r", b"\n", b"A: b", b"\n", b"\r", b"\n", b"f", b"\n"]
