"""Agents' replies, turned into the model's values."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from pytest_ciliumwg.agent import canary
from pytest_ciliumwg.agent.capture.controls import way_of
from pytest_ciliumwg.errors import AgentError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.timeline import Event
from pytest_ciliumwg.model.traffic import Delivery, Direction, EvidenceFrame, Flow, Sighting
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


STALLED_SECONDS = 1.0
"""An agent that was not run for so long has kept others waiting: what was lost meanwhile is no loss of the cluster."""
SLOW_SECONDS = 0.5
"""Where half of the answers take so long, one that is missing may come yet: no network within a cluster is so slow."""


def delivery(flow: Flow, sent: Row, served: Row | None, not_served: str | None) -> Delivery:
    """A flow's delivery.

    Args:
        flow: The flow.
        sent: Its sender's account.
        served: Its server's; None where the kernel answers.
        not_served: Why our own agent could not serve it; None where it could.
    """
    return Delivery(
        flow=int(sent["id"]),
        sent=sent["sent"],
        received=sent["received"],
        served=-1 if served is None else served["served"],
        payload_bytes=sent["bytes"],
        repeated=sent["repeated"],
        duplicates=sent["duplicates"],
        reordered=sent["reordered"],
        error=sent["error"],
        started=sent["started"],
        finished=sent["finished"],
        served_first=0.0 if served is None else served["first"],
        served_last=0.0 if served is None else served["last"],
        unmeasured=not_served or _unmeasured(flow, sent, served),
    )


def _unmeasured(flow: Flow, sent: Row, served: Row | None) -> str | None:
    """Why answers that are missing may be missing by our own doing."""
    if sent["refused"]:
        return f"the agent in {flow.source_pod} cannot send it: {sent['error']}"
    if sent["unfinished"]:
        return f"the agent in {flow.source_pod} had no time to finish it: the machine has too much else to do"
    for pod, account in ((flow.source_pod, sent), (flow.destination_pod, served or {"stalled": 0.0})):
        if account["stalled"] >= STALLED_SECONDS:
            return f"the agent in {pod} was not run for {account['stalled']:.1f} s: the machine has too much else to do"
    if sent["typical"] >= SLOW_SECONDS:
        took = f"half of the answers to {flow.source_pod} took {sent['typical']:.1f} s and more, though none was lost"
        return f"{took}: the machines have too much else to do"
    return None


def failed_delivery(flow: Flow) -> Delivery:
    """The delivery of a flow whose sender's account never came."""
    error = f"the agent in {flow.source_pod} gave no account of it"
    return Delivery(flow=flow.id, sent=0, received=0, served=-1, payload_bytes=0, error=error, unmeasured=error)


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
    way = way_of(row["layers"])
    return ControlSeen(sender=sender, phase=phase, device=row["device"], outgoing=row["outgoing"], way=way)


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
    kinds: dict[tuple[int, bool], dict[str, Sequence[Any]]] = {}
    for flow, outgoing, how, *counts in row["passages"]:
        kinds.setdefault((flow, outgoing), {})[how] = counts
    return {key: _passage(by_kind) for key, by_kind in kinds.items()}


def _inside(row: Row, first_control: int) -> InsideReport:
    return InsideReport(
        present=row["present"],
        missed=row["missed"],
        controls=frozenset(number - first_control for number in row["controls"] if number - first_control in (0, 1)),
        passages=passages(row),
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


def _passage(by_kind: Mapping[str, Sequence[Any]]) -> Passage:
    nothing = (0, 0, None, None, None)
    frames, size, _, _, numbers = by_kind.get("canary", nothing)
    short, *_ = by_kind.get("header", nothing)
    times = [(first, last) for _, _, first, last, _ in by_kind.values()]
    return Passage(
        frames=frames,
        bytes=size,
        short=short,
        first_at=min(first for first, _ in times),
        last_at=max(last for _, last in times),
        numbers=numbers,
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
