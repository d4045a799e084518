"""The agent's process: JSON requests on a unix socket, one line each way.

`serve` runs until it is killed and keeps jobs (watches, servers, senders) by their id, so that a request that is
repeated after a broken connection finds the job it began. `call` carries one request from standard input to a running
agent and its reply to standard output: that is all that an exec into a pod has to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import struct
import sys
import threading
from pathlib import Path

from .caller import call, read_line
from .jobs import FAILED, MALFORMED, NO_JOB, NO_REQUEST, VERSION, Jobs, NoJobError, Reply

__all__ = ["VERSION", "Agent", "main", "serve"]

_IDLE_SECONDS = 60.0


class Agent:
    """The jobs of one agent; `handle` answers one request."""

    def __init__(self) -> None:
        self._operations = Jobs().operations

    def handle(self, line: bytes) -> Reply:
        """The reply to one request; a request that makes no sense gets `{"ok": false, "code": …, "error": …}`."""
        try:
            request = json.loads(line)
            operation = self._operations[request["op"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            known = ", ".join(sorted(self._operations))
            return _refusal(NO_REQUEST, f"not a request: expected one JSON object per line with op = {known}")
        try:
            return dict(operation(request), ok=True)
        except NoJobError as error:
            return _refusal(NO_JOB, str(error))
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
            MemoryError,
            struct.error,
        ) as error:
            problem = "request {} is malformed: {}: {}".format(request["op"], type(error).__name__, error)
            return _refusal(MALFORMED, problem)
        except OSError as error:
            return _refusal(FAILED, "{} failed: {}".format(request["op"], error))


def _refusal(code: str, sentence: str) -> Reply:
    return {"ok": False, "code": code, "error": sentence}


def serve(path: str) -> int:
    """Listen on a unix socket until SIGTERM; prints `ready` when a request can come."""
    agent = Agent()
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        Path(path).chmod(0o600)
        listener.listen(64)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(agent, connection), daemon=True).start()


def _answer(agent: Agent, connection: socket.socket) -> None:
    with connection:
        connection.settimeout(_IDLE_SECONDS)
        try:
            reply = agent.handle(read_line(connection))
            connection.sendall(json.dumps(reply, separators=(",", ":")).encode() + b"\n")
        except OSError:
            return  # the caller went away; it asks again and finds its job


def main(arguments: list[str] | None = None) -> int:
    """`agent.pyz serve|call --socket PATH`."""
    parser = argparse.ArgumentParser(prog="agent.pyz", description=__doc__)
    parser.add_argument("mode", choices=["serve", "call"])
    parser.add_argument("--socket", required=True, help="the unix socket's path")
    options = parser.parse_args(arguments)
    return serve(options.socket) if options.mode == "serve" else call(options.socket)
