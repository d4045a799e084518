"""Agents' replies, turned into the model's values."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.controls import way_of
from pytest_ciliumwg.errors import AgentError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.passages import Passages
from pytest_ciliumwg.model.timeline import Event
from pytest_ciliumwg.model.traffic import Direction, EvidenceFrame, Sighting
from pytest_ciliumwg.model.watch import (
    CiphertextSample,
    ControlSeen,
    Conversation,
    DeviceReport,
    Foreign,
    InsideReport,
    MessageKind,
    Passage,
    PodsReport,
    WatchReport,
    WireGuardMessages,
)

Row = Mapping[str, Any]

_FAMILIES = {"IPv4": IPFamily.V4, "IPv6": IPFamily.V6}


def watch_report(node: str, reply: Row | AgentError, blind: str | None, nodes: Sequence[str]) -> WatchReport:
    """A node's watch, from its agent's reply; `nodes` are all nodes in the order of their control canaries."""
    if isinstance(reply, AgentError):
        errors = (blind or f"the watch on {node} gave no result: {reply}",)
        return WatchReport(
            node=node, started=0.0, stopped=0.0, devices={}, controls=frozenset(), sightings=(), errors=errors
        )
    ours = [sighting(node, row) for row in reply["seen"] if row["mark"] != canary.CONTROL]
    return WatchReport(
        node=node,
        started=reply["started"],
        stopped=reply["stopped"],
        devices=device_reports(reply["devices"]),
        controls=frozenset(_control(row, nodes) for row in reply["seen"] if row["mark"] == canary.CONTROL),
        sightings=tuple(seen for seen in ours if seen.how != "quoted"),
        quoted=tuple(seen for seen in ours if seen.how == "quoted"),
        inside=_inside(reply["inside"], first_control=2 * nodes.index(node)),
        pods=_pods(reply["pods"]),
        errors=(*([blind] if blind else []), *reply["errors"]),
        kernel=reply["kernel"],
    )


def sighting(node: str, row: Row) -> Sighting:
    """Frames in cleartext, as a watch tells of them."""
    direction: Direction = "reply" if row["mark"] == canary.REPLY else "request"
    return Sighting(
        flow=row["flow"],
        direction=direction,
        node=node,
        device=row["device"],
        outgoing=row["outgoing"],
        how=row["how"],
        frames=row["count"],
        first_at=row["first"],
        last_at=row["last"],
        layers=row["layers"],
        evidence=tuple(EvidenceFrame(at=at, data=base64.b64decode(data), length=n) for at, data, n in row["frames"]),
    )


def kernel_event(node: str, entry: Row, since: float, at: float) -> Event:
    """What a node's kernel told, as a watch logs it; the times are the controller's."""
    return Event(
        kind="kernel",
        what=entry["what"],
        node=node,
        at=at,
        since=since,
        subject=entry["subject"],
        verb=entry["verb"],
        family=_FAMILIES.get(entry["family"]),
        device=entry["device"],
        count=entry["count"],
    )


def _control(row: Row, nodes: Sequence[str]) -> ControlSeen:
    index, phase = divmod(row["flow"], 2)
    sender = nodes[index] if index < len(nodes) else f"node {index}"
    return _control_seen(sender, phase, row["device"], row["outgoing"], row["layers"])


@lru_cache(maxsize=1 << 16)
def _control_seen(sender: str, phase: int, device: str, outgoing: bool, layers: str) -> ControlSeen:
    """A control canary, which the watches of all other nodes see alike: it is kept once."""
    return ControlSeen(sender=sender, phase=phase, device=device, outgoing=outgoing, way=way_of(layers))


def device_reports(devices: Row) -> dict[str, DeviceReport]:
    """What a watch counted, by device."""
    return {
        name: DeviceReport(
            frames=report["frames"],
            kernel_frames=report["kernel_frames"],
            drops=report["drops"],
            truncated=report["truncated"],
            wireguard=tuple(_messages(row) for row in report["wireguard"]["messages"]),
            wireguard_drops=report["wireguard"]["drops"],
            ciphertext=tuple(_sample(row) for row in report["wireguard"]["samples"]),
            foreign=Foreign(**report["foreign"]),
        )
        for name, report in devices.items()
    }


def passages(row: Row) -> dict[tuple[int, bool], Passage]:
    """What passed inside the tunnel, as a watch tells of it: by flow and by whether it went in."""
    found: dict[tuple[int, bool], Passage] = {}
    for flow, outgoing, how, frames, size, first, last, numbers in row["passages"]:
        made = (
            Passage(frames=frames, bytes=size, short=0, first_at=first, last_at=last, numbers=numbers)
            if how == "canary"
            else Passage(frames=0, bytes=0, short=frames, first_at=first, last_at=last)
        )
        known = found.get((flow, outgoing))
        found[flow, outgoing] = made if known is None else _both(known, made)
    return found


def _both(one: Passage, other: Passage) -> Passage:
    """The packets with a canary and those without one of the same flow and direction."""
    numbers = one.numbers if other.numbers is None else other.numbers
    return replace(one + other, numbers=numbers)


def _inside(row: Row, first_control: int) -> InsideReport:
    return InsideReport(
        present=row["present"],
        missed=row["missed"],
        controls=frozenset(number - first_control for number in row["controls"] if number - first_control in (0, 1)),
        passages=Passages(passages(row)),
    )


def conversation(row: Sequence[Any]) -> Conversation:
    """Packets between two addresses of pods, as a watch tells of them."""
    source, destination, protocol, device, outgoing, tunnel, frames, first, last, source_port, destination_port = row
    return Conversation(
        source=ip_address(source),
        destination=ip_address(destination),
        protocol=protocol,
        source_port=source_port,
        destination_port=destination_port,
        device=device,
        outgoing=outgoing,
        tunnel=tunnel,
        frames=frames,
        first_at=first,
        last_at=last,
    )


def _pods(row: Row | None) -> PodsReport | None:
    if row is None:
        return None
    return PodsReport(
        missed=row["missed"],
        controls=frozenset((device, IPFamily(f"v{version}")) for device, version in row["controls"]),
        conversations=tuple(conversation(fields) for fields in row["conversations"]),
    )


def _sample(row: Row) -> CiphertextSample:
    ends = {"source": ip_address(row["source"]), "destination": ip_address(row["destination"])}
    return CiphertextSample(**{**row, **ends})


def _messages(row: Row) -> WireGuardMessages:
    return WireGuardMessages(
        outgoing=row["outgoing"],
        source=ip_address(row["source"]),
        destination=ip_address(row["destination"]),
        kind=MessageKind(row["kind"]),
        keepalive=row["keepalive"],
        fragmented=row["fragmented"],
        count=row["count"],
        bytes=row["bytes"],
    )
