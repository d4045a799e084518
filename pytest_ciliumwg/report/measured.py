"""What a run measured beside its verdicts, as report.json has it: each flow's custody, the tunnels, the nodes."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.traffic import Flow
from pytest_ciliumwg.report.record import RunRecord, plain
from pytest_ciliumwg.verdict.custody import NOTHING, points
from pytest_ciliumwg.verdict.judge import Judge


def custody(judge: Judge, flow: Flow) -> list[dict[str, Any]]:
    """What passed each of the four points of a flow's way through the tunnel; `frames` is null where nobody saw."""
    rows = []
    for point in points(flow):
        watch = judge.measurement.watches.get(point.node)
        inside = watch.inside if watch else None
        passage = inside.passages.get((flow.id, point.outgoing), NOTHING) if inside else None
        rows.append(
            {
                "node": point.node,
                "direction": point.direction,
                "into_tunnel": point.outgoing,
                "frames": passage.frames + passage.short if passage else None,
                "bytes": passage.bytes if passage else None,
            }
        )
    return rows


def tunnels(judge: Judge) -> Iterator[dict[str, Any]]:
    """For each directed pair of nodes, what of ours came out of the tunnel, and the WireGuard data messages outside."""
    for source, destination in sorted({flow.pair for flow in judge.measurement.flows}):
        packets, size = judge.custody.carried.get((source, destination), (0, 0))
        yield {
            "source": source,
            "destination": destination,
            "inside_packets": packets,
            "inside_bytes": size,
            "messages_leaving": judge.data_messages(source, source, destination)[0],
            "messages_arriving": judge.data_messages(destination, source, destination)[0],
        }


def environment(record: RunRecord) -> dict[str, Any]:
    """What the run ran on: the nodes as they were when the last watch began, and the machine that ran pytest."""
    states: dict[str, NodeState] = {}
    kernels: dict[str, str] = {}
    for judge in record.judges.values():
        states.update(judge.measurement.before)
        kernels.update({watch.node: watch.kernel for watch in judge.measurement.watches.values() if watch.kernel})
    seen = [name for name in record.nodes if name in states]
    nodes = [_node(states[name], kernels.get(name, "")) for name in seen]
    return {"python": platform.python_version(), "nodes": nodes}


def _node(state: NodeState, kernel: str) -> dict[str, Any]:
    wireguard = state.wireguard
    return {
        "node": state.node,
        "kernel": kernel,
        "native_devices": [{"name": link.name, "mtu": link.mtu} for link in state.native_devices],
        "tunnel": {"name": state.link.name, "kind": state.link.kind, "mtu": state.link.mtu} if state.link else None,
        "listen_port": wireguard.listen_port if wireguard else None,
        "fwmark": wireguard.fwmark if wireguard else None,
        "peers": len(state.peers),
        "redirects": sorted({f"{one.device} {one.direction}: {one.program}" for one in state.redirects}),
        "unread": plain(dict(state.unread)),
    }
