"""The agent's process: JSON requests on a unix socket, one line each way.

`serve` runs until it is killed and keeps jobs (watches, servers, senders) by their id, so that a request that is
repeated after a broken connection finds the job it began. `call` carries one request from standard input to a running
agent and its reply to standard output: that is all that an exec into a pod has to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict

from . import canary
from .caller import call, read_line
from .frames import ICMP, ICMP6, TCP, UDP, FlowIndex
from .sender import Sender, route_mtu
from .server import Server
from .watch import Watch, send_control

VERSION = 1
"""Of the requests and replies; the controller refuses another."""
_IDLE_SECONDS = 60.0
_LONGEST_WAIT = 30.0
_PROTOCOLS = {"icmp": ICMP, "tcp": TCP, "udp": UDP}

Request = Dict[str, Any]
Reply = Dict[str, Any]


class Agent:
    """The jobs of one agent; `handle` answers one request."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}
        self._servers: dict[str, Server] = {}
        self._senders: dict[str, Sender] = {}
        self._lock = threading.Lock()
        self._operations: dict[str, Callable[[Request], Reply]] = {
            "hello": self._hello,
            "mtu": self._mtu,
            "watch-start": self._watch_start,
            "watch-peek": self._watch_peek,
            "watch-stop": self._watch_stop,
            "control": self._control,
            "serve": self._serve,
            "serve-stop": self._serve_stop,
            "send": self._send,
            "collect": self._collect,
        }

    def handle(self, line: bytes) -> Reply:
        """The reply to one request; a request that makes no sense gets `{"ok": false, "error": …}`."""
        try:
            request = json.loads(line)
            operation = self._operations[request["op"]]
        except (ValueError, KeyError, TypeError):
            known = ", ".join(sorted(self._operations))
            return _refusal(f"not a request: expected one JSON object per line with op = {known}")
        try:
            return dict(operation(request), ok=True)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, struct.error) as error:
            return _refusal("request {} is malformed: {}: {}".format(request["op"], type(error).__name__, error))
        except OSError as error:
            return _refusal("{} failed: {}".format(request["op"], error))

    def _hello(self, _request: Request) -> Reply:
        return {"version": VERSION, "python": platform.python_version(), "pid": os.getpid(), "now": time.time()}

    def _mtu(self, request: Request) -> Reply:
        return {"mtus": {str(address): route_mtu(str(address)) for address in request["destinations"]}}

    def _watch_start(self, request: Request) -> Reply:
        with self._lock:
            watch = self._watches.get(str(request["job"]))
            if watch is None:
                ring = request["ring"]
                flows = [_flow_row(row) for row in request["flows"]]
                exclusive = frozenset(_packed(str(address)) for address in request["exclusive"])
                index = FlowIndex(bytes.fromhex(request["prefix"]), flows, exclusive)
                devices = [str(device) for device in request["devices"]]
                port = int(request["wireguard_port"])
                watch = Watch(devices, index, int(ring["block_size"]), int(ring["blocks"]), port)
                self._watches[str(request["job"])] = watch
        return {"started": watch.started}

    def _watch_peek(self, request: Request) -> Reply:
        return {"controls": self._watches[str(request["job"])].controls_arrived()}

    def _watch_stop(self, request: Request) -> Reply:
        with self._lock:
            return self._watches[str(request["job"])].stop()

    def _control(self, request: Request) -> Reply:
        token = canary.make(bytes.fromhex(request["prefix"]), int(request["number"]), canary.CONTROL)
        return {"problems": send_control(list(request["devices"]), token, list(request["targets"]))}

    def _serve(self, request: Request) -> Reply:
        with self._lock:
            server = self._servers.get(str(request["job"]))
            if server is None:
                server = self._servers[str(request["job"])] = Server(request["flows"])
        return {"errors": server.errors}

    def _serve_stop(self, request: Request) -> Reply:
        with self._lock:
            server = self._servers[str(request["job"])]
            server.stop()
            return {"flows": server.counts()}

    def _send(self, request: Request) -> Reply:
        with self._lock:
            if str(request["job"]) not in self._senders:
                sender = Sender(request["flows"], float(request["timeout"]))
                self._senders[str(request["job"])] = sender
        return {}

    def _collect(self, request: Request) -> Reply:
        sender = self._senders[str(request["job"])]
        done = sender.finished.wait(min(float(request["wait"]), _LONGEST_WAIT))
        return {"done": done, "flows": sender.results() if done else []}


def _flow_row(row: list[Any]) -> Any:
    flow, protocol, source, destination, port = row
    number = _PROTOCOLS[protocol]
    if number == ICMP and ":" in source:
        number = ICMP6
    return int(flow), number, _packed(source), _packed(destination), int(port)


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _refusal(sentence: str) -> Reply:
    return {"ok": False, "error": sentence}


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
