"""The jobs of an agent, and the requests that begin them, ask them and end them."""

from __future__ import annotations

import base64
import os
import platform
import threading
import time
from typing import Any, Callable, Dict, TypeVar

from . import canary
from .capture.continuous import ContinuousWatch, Heartbeat
from .capture.controls import WAYS, send_control, send_inside
from .capture.frames import ICMP, ICMP6, TCP, UDP, FlowIndex
from .capture.headers import Headers, reply_of
from .capture.inside import Tunnel
from .capture.machines import Machines, packed_address
from .capture.packets import packed
from .capture.pod_filter import parse_network
from .capture.pods import PodNetworks, send_pod_controls
from .capture.rings import Plan
from .capture.watch import Watch
from .look.node import look
from .traffic.sender import Sender
from .traffic.server import Server
from .traffic.sockets import route_mtu
from .traffic.stream import Stream

VERSION = 12
"""Of the requests and replies; the controller refuses another."""
NO_REQUEST, MALFORMED, NO_JOB, FAILED = "no-request", "malformed", "no-job", "failed"
"""Codes of refusals: an unknown operation, fields that make no sense, an unknown job, an error of the system."""
_LONGEST_WAIT = 30.0
_LARGEST_RING = 64 << 20
_MOST = {
    "devices": 64,
    "flows": 1 << 18,
    "exclusive": 1 << 14,
    "own": 1 << 8,
    "pods": 32,
    "pod_controls": 2,
    "machines": 1 << 16,
}
"""Lengths of a watch's lists: what a cluster of thousands of nodes needs, and no more."""
_PROTOCOLS = {"icmp": ICMP, "tcp": TCP, "udp": UDP}

Request = Dict[str, Any]
Reply = Dict[str, Any]
_Job = TypeVar("_Job")


class NoJobError(Exception):
    """A request names a job that this agent has not: it was never begun, or the agent was restarted since."""

    def __init__(self, job: str) -> None:
        super().__init__(f"there is no job {job} here: it was never started, or this agent was restarted since")


class Jobs:
    """What an agent does, by the job's id; `operations` are its answers by the request's `op`."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}
        self._continuous: dict[str, ContinuousWatch] = {}
        self._headers: dict[str, Headers] = {}
        self._servers: dict[str, Server] = {}
        self._senders: dict[str, Sender] = {}
        self._streams: dict[str, Stream] = {}
        self._lock = threading.Lock()
        self.operations: dict[str, Callable[[Request], Reply]] = {
            "hello": self._hello,
            "mtu": self._mtu,
            "look": self._look,
            "watch-start": self._watch_start,
            "watch-peek": self._watch_peek,
            "watch-collect": self._watch_collect,
            "watch-heartbeat": self._watch_heartbeat,
            "watch-stop": self._watch_stop,
            "headers-start": self._headers_start,
            "headers-await": self._headers_await,
            "headers-read": self._headers_read,
            "control": self._control,
            "serve": self._serve,
            "serve-stop": self._serve_stop,
            "send": self._send,
            "collect": self._collect,
            "stream-start": self._stream_start,
            "stream-collect": self._stream_collect,
            "stream-stop": self._stream_stop,
        }

    def _hello(self, _request: Request) -> Reply:
        return {"version": VERSION, "python": platform.python_version(), "pid": os.getpid(), "now": time.time()}

    def _mtu(self, request: Request) -> Reply:
        return {"mtus": {str(address): route_mtu(str(address)) for address in request["destinations"]}}

    def _look(self, request: Request) -> Reply:
        return {"parts": look(str(request["device"]), [str(family) for family in request["families"]])}

    def _watch_start(self, request: Request) -> Reply:
        job = str(request["job"])
        with self._lock:
            if "heartbeat" in request:
                if job not in self._continuous:
                    self._continuous[job] = ContinuousWatch(_plan(request), _heartbeat(request["heartbeat"]))
                return {"started": self._continuous[job].started}
            if job not in self._watches:
                self._watches[job] = Watch(_plan(request))
            return {"started": self._watches[job].started}

    def _watch_peek(self, request: Request) -> Reply:
        return {"controls": _named(self._watches, request).controls_arrived()}

    def _watch_collect(self, request: Request) -> Reply:
        return _named(self._continuous, request).collect(int(request["acknowledged"]))

    def _watch_heartbeat(self, request: Request) -> Reply:
        _named(self._continuous, request).send_by(_ways(request["ways"]))
        return {}

    def _watch_stop(self, request: Request) -> Reply:
        if str(request["job"]) in self._continuous:
            return _named(self._continuous, request).stop(int(request["acknowledged"]))
        with self._lock:
            return _named(self._watches, request).stop()

    def _headers_start(self, request: Request) -> Reply:
        devices = [str(device) for device in request["devices"]]
        if len(devices) > _MOST["devices"]:
            raise ValueError(f"{len(devices)} devices are more than {_MOST['devices']}")
        with self._lock:
            if str(request["job"]) not in self._headers:
                headers = Headers(devices, float(request["seconds"]), *_ring(request))
                self._headers[str(request["job"])] = headers
        return {}

    def _headers_await(self, request: Request) -> Reply:
        return reply_of(_named(self._headers, request), min(float(request["wait"]), _LONGEST_WAIT))

    def _headers_read(self, request: Request) -> Reply:
        part = _named(self._headers, request).part(str(request["device"]), int(request["offset"]))
        return {"part": base64.b64encode(part).decode()}

    def _control(self, request: Request) -> Reply:
        token = _canaries(request).make(int(request["number"]), canary.CONTROL)
        targets, ways = list(request["targets"]), _ways(request["ways"])
        problems, unreached = send_control(list(request["devices"]), token, targets, ways)
        # A device that is not there is told by the watch: nothing can be inside it.
        send_inside(str(request["inside"]), token)
        addresses = [packed(str(address)) for address in request["pod_controls"]]
        send_pod_controls([str(device) for device in request["devices"]], addresses)
        return {"problems": problems, "unreached": unreached}

    def _serve(self, request: Request) -> Reply:
        with self._lock:
            server = self._servers.get(str(request["job"]))
            if server is None:
                server = self._servers[str(request["job"])] = Server(request["flows"])
        return {"errors": server.errors}

    def _serve_stop(self, request: Request) -> Reply:
        with self._lock:
            server = _named(self._servers, request)
            server.stop()
            return {"flows": server.counts(), "stalled": server.stalled}

    def _send(self, request: Request) -> Reply:
        with self._lock:
            if str(request["job"]) not in self._senders:
                sender = Sender(request["flows"], float(request["timeout"]))
                self._senders[str(request["job"])] = sender
        return {}

    def _collect(self, request: Request) -> Reply:
        sender = _named(self._senders, request)
        done = sender.finished.wait(min(float(request["wait"]), _LONGEST_WAIT))
        flows = sender.results() if done else []
        return {"done": done, "flows": flows, "stalled": sender.stalled, "typical": sender.typical}

    def _stream_start(self, request: Request) -> Reply:
        with self._lock:
            if str(request["job"]) not in self._streams:
                stream = Stream(request["flows"], float(request["patience"]))
                self._streams[str(request["job"])] = stream
        return {}

    def _stream_collect(self, request: Request) -> Reply:
        return _named(self._streams, request).collect(int(request["acknowledged"]))

    def _stream_stop(self, request: Request) -> Reply:
        return _named(self._streams, request).stop(int(request["acknowledged"]))


def _named(jobs: dict[str, _Job], request: Request) -> _Job:
    job = str(request["job"])
    if job not in jobs:
        raise NoJobError(job)
    return jobs[job]


def _plan(request: Request) -> Plan:
    block_size, blocks = _ring(request)
    inside = request["inside"]
    for name, most in _MOST.items():
        if len(request[name]) > most:
            raise ValueError(f"{len(request[name])} {name} are more than {most}")
    exclusive, own = (frozenset(packed(str(address)) for address in request[name]) for name in ("exclusive", "own"))
    networks = [parse_network(str(network)) for network in request["pods"]]
    controls = [packed(str(address)) for address in request["pod_controls"]]
    return Plan(
        devices=[str(device) for device in request["devices"]],
        flows=FlowIndex(_canaries(request), [_flow_row(row) for row in request["flows"]], exclusive, own),
        block_size=block_size,
        blocks=blocks,
        wireguard_port=int(request["wireguard_port"]),
        inside=None if inside is None else Tunnel(str(inside["device"]), bool(inside["headers"])),
        pods=PodNetworks(networks, exclusive, controls) if networks else None,
        machines=Machines(frozenset(packed_address(str(address)) for address in request["machines"])),
        retire_ms=int(request["retire_ms"]),
    )


def _ring(request: Request) -> tuple[int, int]:
    """The bytes of a block of a device's ring, and how many there are."""
    block_size, blocks = int(request["ring"]["block_size"]), int(request["ring"]["blocks"])
    if block_size * blocks > _LARGEST_RING:
        raise ValueError(f"a ring of more than {_LARGEST_RING} bytes")
    return block_size, blocks


def _canaries(request: Request) -> canary.Canaries:
    return canary.Canaries.of(bytes.fromhex(request["secret"]))


def _heartbeat(fields: dict[str, Any]) -> Heartbeat:
    targets = [str(target) for target in fields["targets"]]
    ways = _ways(fields["ways"])
    return Heartbeat(int(fields["node"]), int(fields["first"]), float(fields["period"]), targets, ways)


def _ways(names: list[Any]) -> list[str]:
    for name in names:
        if name not in WAYS:
            raise ValueError(f"control canaries go by {', '.join(WAYS)}, not by {name}")
    return [str(name) for name in names]


def _flow_row(row: list[Any]) -> Any:
    flow, protocol, source, destination, port = row
    number = _PROTOCOLS[protocol]
    if number == ICMP and ":" in source:
        number = ICMP6
    return int(flow), number, packed(source), packed(destination), int(port)
