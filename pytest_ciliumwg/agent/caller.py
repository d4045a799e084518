"""Carry one request to a running agent. Also a program of its own, which starts eight times faster than the agent.

Into a pod that is all that an exec has to do, and a measurement does it some dozen times on every node.
"""

from __future__ import annotations

import socket
import sys

LARGEST_REQUEST = 64 << 20
PATIENCE_SECONDS = 90.0
"""Seconds: longer than any answer of an agent takes."""


NO_AGENT = 75
"""The exit status of a call when no agent listens (yet): EX_TEMPFAIL of <sysexits.h>."""


def read_line(sock: socket.socket) -> bytes:
    """One line from a connection, without its end; what came before EOF where there is none."""
    parts: list[bytes] = []
    size = 0
    while size <= LARGEST_REQUEST:
        part = sock.recv(1 << 20)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n"):
            break
    return b"".join(parts).rstrip(b"\n")


def call(path: str) -> int:
    """Carry one request line from standard input to the agent and its reply to standard output."""
    request = sys.stdin.buffer.readline()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE_SECONDS)
            sock.connect(path)
            sock.sendall(request.rstrip(b"\n") + b"\n")
            reply = read_line(sock)
    except OSError as error:
        sys.stderr.write(f"no agent answers at {path}: {error}\n")
        return NO_AGENT
    sys.stdout.buffer.write(reply + b"\n")
    return 0 if reply else 1


if __name__ == "__main__":
    sys.exit(call(sys.argv[1]))
