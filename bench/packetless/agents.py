"""What our agents answer where each flow is delivered at once, through the tunnel, but between two nodes in cleartext.

What this version drops by design is dropped.

The rows are those of real agents (see `pytest_ciliumwg.agent`), and as many: of each message in the tunnel, of what is
in cleartext by design, of control canaries from every node to every other.
"""

from __future__ import annotations

import base64
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from bench.packetless.network import DEVICE, MTU, Network, PlacedNode
from bench.packetless.observed import EXPECTED
from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.jobs import VERSION
from pytest_ciliumwg.observe.wireguard import DEVICE as TUNNEL

Row = dict[str, Any]
_ROUTE_MTU = EXPECTED.pod_route_mtus(MTU).high
_SEGMENT = 1300
_OVERHEAD = 80
"""Bytes of headers around a packet's payload, in and outside of the tunnel."""
_PROMPT = {"stalled": 0.0, "typical": 0.001}
_EVIDENCE = 2
"""Frames that are kept of each sighting."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A flow that was sent."""

    row: Row
    source: PlacedNode
    destination: PlacedNode
    clear: bool
    at: float
    """When its packets passed: all at once."""

    @property
    def packets(self) -> int:
        """Packets with canaries in each direction."""
        segment = _SEGMENT if self.row["protocol"] == "tcp" else _ROUTE_MTU
        return int(self.row["count"] * math.ceil(self.row["payload_size"] / segment))

    @property
    def bytes(self) -> int:
        """Their payload."""
        return int(self.row["count"] * self.row["payload_size"])


@dataclass(slots=True)
class _Watch:
    """What one node's agent knows of its watch."""

    started: float
    heard: dict[int, float] = field(default_factory=dict)
    """Number of a control canary → when it came."""
    own: dict[int, float] = field(default_factory=dict)
    """Those that the node sent itself."""
    passed: list[Sent] = field(default_factory=list)
    """The flows from and to the node."""


class Agents:
    """All agents of a run, one for each node and each test pod."""

    def __init__(self, network: Network, leak: tuple[str, str] | None) -> None:
        self._network = network
        self._leak = leak
        self._watches: dict[str, _Watch] = {}
        self._carried: Counter[tuple[int, int]] = Counter()
        self._accounts: dict[tuple[str, str], list[Row]] = {}
        """Agent and job → the accounts of what it sent."""
        self._served: dict[str, dict[int, Row]] = defaultdict(dict)
        """Agent → flow → what it counted of what it served."""
        self._at_port: dict[int, str] = {}
        """Flow → the agent that serves it."""

    def carried(self, source: PlacedNode, destination: PlacedNode) -> int:
        """The bytes that went from one node to another in the tunnel so far."""
        return self._carried[source.index, destination.index]

    def answer(self, agent: str, node: PlacedNode, request: Row) -> Row:
        """The reply of one agent, on a node or in its test pod."""
        answers: dict[str, Callable[[], Row]] = {
            "hello": lambda: {"version": VERSION, "python": "3.11.7", "pid": 1, "now": time.time()},
            "mtu": lambda: {"mtus": dict.fromkeys(request["destinations"], _ROUTE_MTU)},
            "watch-start": lambda: self._start(node),
            "control": lambda: self._control(node, request),
            "watch-peek": lambda: {"controls": sorted(self._watches[node.name].heard)},
            "watch-stop": lambda: self._stop(node),
            "serve": lambda: self._serve(agent, request),
            "serve-stop": lambda: {"flows": list(self._served[agent].values()), "stalled": 0.0},
            "send": lambda: self._send(agent, node, request),
            "collect": lambda: {"done": True, "flows": self._accounts[agent, request["job"]], **_PROMPT},
        }
        return {**answers[request["op"]](), "ok": True}

    def _start(self, node: PlacedNode) -> Row:
        return {"started": self._watches.setdefault(node.name, _Watch(time.time())).started}

    def _control(self, node: PlacedNode, request: Row) -> Row:
        """Let it arrive at every target, and nowhere else: the nodes' network is routed."""
        number, now = request["number"], time.time()
        self._watches[node.name].own[number] = now
        for target in request["targets"]:
            self._watches[self._network.at(target).name].heard.setdefault(number, now)
        return {"problems": [], "unreached": []}

    def _serve(self, agent: str, request: Row) -> Row:
        for row in request["flows"] if agent not in self._served else ():
            self._at_port[row["id"]] = agent
            self._served[agent][row["id"]] = {"id": row["id"], "served": 0, "first": 0.0, "last": 0.0}
        return {"errors": {}}

    def _send(self, agent: str, node: PlacedNode, request: Row) -> Row:
        if (agent, request["job"]) in self._accounts:
            return {}  # a broken connection lets a request be repeated
        accounts = self._accounts[agent, request["job"]] = []
        for row in request["flows"]:
            destination, now = self._network.at(row["destination"]), time.time()
            if row.get("rounds") == 0:
                accounts.append(_account(row, 0, now))
                continue
            own = not self._network.node_addresses.isdisjoint((row["source"], row["destination"]))
            sent = Sent(row, node, destination, own or (node.name, destination.name) == self._leak, now)
            self._watches[node.name].passed.append(sent)
            self._watches[destination.name].passed.append(sent)
            if row["id"] in self._at_port:
                served = self._served[self._at_port[row["id"]]][row["id"]]
                served.update(served=row["count"], first=now, last=now)
            if not sent.clear:
                for ends in ((node.index, destination.index), (destination.index, node.index)):
                    self._carried[ends] += sent.bytes + sent.packets * _OVERHEAD
            accounts.append(_account(row, row["count"], now))
        return {}

    def _stop(self, node: PlacedNode) -> Row:
        watch = self._watches[node.name]
        messages = list(_messages(node, watch.passed))
        frames = sum(row["count"] for row in messages)
        ends = dict.fromkeys((row["source"], row["destination"]) for row in messages)
        samples = [
            {"source": source, "destination": destination, "sampled": 24, "periodic": 0, "repeated": 0}
            for source, destination in ends
        ]
        device = {
            "frames": frames,
            "kernel_frames": frames,
            "drops": 0,
            "freezes": 0,
            "truncated": 0,
            "wireguard": {"messages": messages, "samples": samples, "drops": 0},
            "foreign": {"flows": 0, "wireguard": 0, "pods": 0},
        }
        inside = {
            "device": TUNNEL,
            "present": True,
            "frames": frames,
            "missed": 0,
            "controls": sorted(watch.own),
            "passages": [passage for sent in watch.passed for passage in _passages(sent)],
        }
        return {
            "kernel": "6.12.0",
            "started": watch.started,
            "stopped": time.time(),
            "devices": {DEVICE: device},
            "errors": [],
            "seen": [*_controls(watch), *(row for sent in watch.passed if sent.clear for row in _seen(node, sent))],
            "inside": inside,
            "pods": {"missed": 0, "controls": [[DEVICE, 4], [DEVICE, 6]], "conversations": []},
        }


def _account(row: Row, received: int, at: float) -> Row:
    """What became of a flow that is dropped (see `rounds` of a sender) or delivered."""
    return {
        "id": row["id"],
        "sent": row["count"],
        "repeated": 0,
        "received": received,
        "bytes": received * row["payload_size"],
        "duplicates": 0,
        "reordered": 0,
        "error": None if received else "no answer",
        "refused": False,
        "unfinished": False,
        "started": at,
        "finished": at,
    }


def _messages(node: PlacedNode, passed: Sequence[Sent]) -> Iterator[Row]:
    """WireGuard's messages on a node's native device, by peer, direction and kind."""
    peers: dict[str, tuple[PlacedNode, list[Sent]]] = {}
    for sent in passed:
        other = sent.destination if sent.source is node else sent.source
        if not sent.clear:
            peers.setdefault(other.name, (other, []))[1].append(sent)
    for other, flows in peers.values():
        count, size = sum(2 * sent.packets for sent in flows), sum(sent.bytes for sent in flows)
        opens = node.index < other.index
        for outgoing in (True, False):
            yield _message(node, other, outgoing, 4, count, size + count * _OVERHEAD)
            first = outgoing is opens
            yield _message(node, other, outgoing, 1 if first else 2, 1, 148 if first else 92)


def _message(node: PlacedNode, other: PlacedNode, outgoing: bool, kind: int, count: int, size: int) -> Row:
    source, destination = (node, other) if outgoing else (other, node)
    return {
        "outgoing": outgoing,
        "source": str(source.published.addresses[0]),
        "destination": str(destination.published.addresses[0]),
        "kind": kind,
        "keepalive": False,
        "fragmented": False,
        "count": count,
        "bytes": size,
    }


def _passages(sent: Sent) -> Iterator[list[Any]]:
    """What passed inside the tunnel: TCP has packets without a payload too."""
    if sent.clear:
        return
    row, at = sent.row, sent.at
    for outgoing in (True, False):
        if row["payload_size"] < canary.WHOLE_WITHIN:
            yield [row["id"], outgoing, "header", row["count"], sent.bytes, at, at, 0]
            continue
        yield [row["id"], outgoing, "canary", sent.packets, sent.bytes - 4, at, at, row["count"]]
        if row["protocol"] == "tcp":
            yield [row["id"], outgoing, "header", sent.packets, 0, at, at, 0]


def _controls(watch: _Watch) -> Iterator[Row]:
    for numbers, outgoing in ((watch.own, True), (watch.heard, False)):
        for number, at in numbers.items():
            layers = f"eth/{'0x88b5' if outgoing else 'ipv4/udp:9'}"
            yield _sighting(number, canary.CONTROL, outgoing, 2, at, layers)


def _seen(node: PlacedNode, sent: Sent) -> Iterator[Row]:
    """Requests and answers in cleartext, as the watch of one of the two nodes sees them."""
    row = sent.row
    ends = row["source"], str(ip_address(row["destination"]))
    layers = f"eth/{'ipv6' if ':' in ends[0] else 'ipv4'}/{row['protocol']}"
    for mark, way in ((canary.REQUEST, ends), (canary.REPLY, ends[::-1])):
        outgoing = (sent.source is node) is (mark == canary.REQUEST)
        yield _sighting(
            row["id"], mark, outgoing, sent.packets, sent.at, layers, _frame(way, bytes.fromhex(row["token"]))
        )


def _sighting(flow: int, mark: int, outgoing: bool, count: int, at: float, layers: str, frame: bytes = b"") -> Row:
    return {
        "flow": flow,
        "mark": mark,
        "how": "canary",
        "device": DEVICE,
        "outgoing": outgoing,
        "count": count,
        "first": at,
        "last": at,
        "layers": layers,
        "frames": [[at, base64.b64encode(frame).decode(), len(frame)]] * min(count, _EVIDENCE) if frame else [],
    }


def _frame(ends: tuple[str, str], token: bytes) -> bytes:
    """An Ethernet frame with a UDP datagram, as evidence."""
    source, destination = map(ip_address, ends)
    payload = canary.fill(token, 256)
    udp = bytes.fromhex("2af82af8") + (len(payload) + 8).to_bytes(2, "big") + bytes(2) + payload
    if source.version == 6:
        header = bytes.fromhex("60000000") + len(udp).to_bytes(2, "big") + b"\x11\x40"
    else:
        header = b"\x45\x00" + (len(udp) + 20).to_bytes(2, "big") + bytes.fromhex("0000000040110000")
    kind = b"\x86\xdd" if source.version == 6 else b"\x08\x00"
    return bytes.fromhex("020000000002020000000001") + kind + header + source.packed + destination.packed + udp
