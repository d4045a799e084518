"""Reports of made-up runs, of any number of nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.report.documents import check, document, finding, pair

Verdicts = Callable[[str, str, str], str]
"""Source, destination and protocol → verdict."""
START = 1795975072.25


def healthy(source: str, destination: str, protocol: str) -> str:
    return "encrypted"


def one_leaks(source: str, destination: str, protocol: str) -> str:
    return "cleartext" if (source, destination, protocol) == ("node-02", "node-03", "udp") else "encrypted"


def all_leak(source: str, destination: str, protocol: str) -> str:
    return "cleartext"


def report(nodes: int, verdicts: Verdicts = healthy, **more: Any) -> dict[str, Any]:
    """Six flows between each two nodes, with what was seen of those that leak."""
    names = [f"node-{number:02}" for number in range(1, nodes + 1)]
    flows: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    for source in names:
        for destination in names:
            for family in ("v4", "v6") if source != destination else ():
                for protocol in ("icmp", "tcp", "udp"):
                    made = flow(len(flows), names, source, destination, family, protocol, verdicts)
                    flows.append(made)
                    kept += [frame(made, len(kept) + 1)] if made["sightings"] else []
    cells: dict[tuple[str, str], str] = {}
    for row in flows:
        where = row["source_node"], row["destination_node"]
        cells[where] = "cleartext" if "cleartext" in (row["verdict"], cells.get(where)) else "encrypted"
    pairs = [pair(*where, verdict) for where, verdict in cells.items()]
    wrong = [row for row in pairs if row["verdict"] != "encrypted"]
    made = document(check("wire.no-cleartext[v4-udp]", "fail" if wrong else "pass"), check("peers.count"))
    made["cluster"]["nodes"] = names
    if wrong:
        told = [f"{row['source']} → {row['destination']}: UDP v4 v6, 2 flows, 20 frames" for row in wrong]
        headline = f"{wrong[0]['source']} sends pods' traffic in cleartext"
        made["findings"] = [finding(headline, wrong[0]["source"], failed=("wire.no-cleartext[v4-udp]",), traffic=told)]
        made |= {"outcome": "not-conformant", "verdict": "NOT CONFORMANT: 1 check failed"}
    return made | {
        "flows": flows,
        "pairs": pairs,
        "tunnels": [tunnel(row) for row in pairs],
        "watches": [watch(name) for name in names],
        "environment": {"python": "3.11.2", "nodes": [node(name) for name in names]},
        "evidence": [{"file": "node-02.eth0.pcapng", "node": "node-02", "device": "eth0", "sha256": "0" * 64,
                      "frames": kept}] if kept else [],
        "evidence_missing": "",
        **more,
    }  # fmt: skip


def flow(
    number: int, names: list[str], source: str, destination: str, family: str, protocol: str, verdicts: Verdicts
) -> dict[str, Any]:
    low, high = names.index(source) + 1, names.index(destination) + 1
    verdict = verdicts(source, destination, protocol)
    network = "10.0.{}.1" if family == "v4" else "fd00::{}:1"
    leaks = {
        "flow": number, "direction": "request", "node": source, "device": "eth0", "outgoing": True, "how": "canary",
        "frames": 10, "first_at": START, "last_at": START + 1, "layers": f"eth/ip{family}/{protocol}",
    }  # fmt: skip
    arrives = {**leaks, "node": destination, "outgoing": False}
    return {
        "id": number, "purpose": "pair", "source_node": source, "destination_node": destination,
        "source_pod": f"t/{source}", "destination_pod": f"t/{destination}", "source": network.format(low),
        "destination": network.format(high), "protocol": protocol, "port": 11000, "payload_size": 256, "count": 5,
        "dont_fragment": False, "path": "pod-to-pod", "promised": True, "served_at": None, "served_port": None,
        "served_by": [], "dns_domain": "", "dropped_by_design": False, "fresh": False,
        "verdict": verdict, "stage": "initial",
        "reason": "20 frames in cleartext" if verdict == "cleartext" else "delivered through the tunnel",
        "delivery": {"flow": number, "sent": 5, "received": 5, "served": 5},
        "sightings": [leaks, arrives] if verdict == "cleartext" else [],
        "custody": [
            {"node": end, "direction": direction, "into_tunnel": into, "frames": 5, "bytes": 1260}
            for end, into, direction in (
                (source, True, "request"), (destination, False, "request"),
                (destination, True, "reply"), (source, False, "reply"),
            )
        ],
    }  # fmt: skip


def frame(of: dict[str, Any], number: int) -> dict[str, Any]:
    """A frame of a flow; the first 400 are decoded."""
    fields = {"src": of["source"], "dst": of["destination"], "len": "284", "chksum": "0xf49a", "ttl": "63"}
    decoded = {
        "hex": "0200000000020200000000010800" + "5abda66e875630" * 20,
        "summary": f"Ether / IP / UDP {of['source']}:40000 > {of['destination']}:11000 / Raw",
        "layers": [{"name": name, "fields": fields} for name in ("Ethernet", "IP", "UDP", "Raw")],
    }
    return {
        "number": number, "stage": "initial", "change": None, "flow": of["id"], "direction": "request",
        "outgoing": True, "how": "canary", "at": START, "length": 298, "comment": f"request of flow {of['id']}",
        **(decoded if number <= 400 else {}),
    }  # fmt: skip


def tunnel(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": row["source"], "destination": row["destination"], "stage": "initial", "inside_packets": 30,
        "inside_bytes": 7680, "messages_leaving": 31, "messages_arriving": 31,
    }  # fmt: skip


def watch(name: str) -> dict[str, Any]:
    device = {"frames": 900, "kernel_frames": 900, "drops": 0, "truncated": 0, "wireguard_messages": {"data": 800}}
    return {"node": name, "started": START, "stopped": START + 9, "blind": [], "devices": {"eth0": device},
            "stage": "initial"}  # fmt: skip


def node(name: str) -> dict[str, Any]:
    device = {"name": "eth0", "mtu": 1500}
    return {
        "node": name, "kernel": "6.1.0", "native_devices": [device], "listen_port": 51871, "fwmark": 3584, "peers": 2,
        "tunnel": {"name": "cilium_wg0", "kind": "wireguard", "mtu": 1420}, "redirects": [], "unread": {},
    }  # fmt: skip


def change(**more: Any) -> dict[str, Any]:
    """A change with an outage and a leak of a flow."""
    of = flow(0, ["node-01", "node-02", "node-03"], "node-02", "node-03", "v4", "udp", healthy)
    of |= {"purpose": "lasting", "spans": [["encrypted", START, START + 4], ["lost", START + 4, START + 5],
                                           ["cleartext", START + 5, START + 6], ["encrypted", START + 6, START + 10]],
           "totals": {"flow": 0, "sent": 100, "answered": 90, "lost": 10, "connections": 0}}  # fmt: skip
    leak = {
        "flow": 0, "direction": "request", "node": "node-02", "device": "eth0", "outgoing": True, "how": "canary",
        "frames": 7, "first_at": START + 5, "last_at": START + 6, "layers": "eth/ipv4/udp:11000",
        "told": "7 frames of the request leaving node-02 eth0, 1 s after the agent was restarted",
    }  # fmt: skip
    event = {"kind": "kernel", "what": "cilium_wg0 was removed", "node": "node-02", "at": START + 4.5}
    blind = {"node": "node-01", "first_at": START, "last_at": START + 1, "why": "its agent was restarted"}
    timeline = {"started": START, "stopped": START + 10, "events": [event], "leaks": [leak], "blind": [blind],
                "unsound": [], "flows": [of]}  # fmt: skip
    return {
        "name": "agent-restart", "does": "restarts the agent", "source": "", "version": "", "node": "node-02",
        "error": "", "unavailable": False, "settled_after": 1.5, "unsettled": [], "changed_checks": [],
        "timeline": timeline, **more,
    }  # fmt: skip
