"""Timelines made by hand."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from pytest_ciliumwg.flows.continuous import continuous_flows
from pytest_ciliumwg.flows.ports import FlowNumbers
from pytest_ciliumwg.model.cluster import IPFamily, Pod
from pytest_ciliumwg.model.timeline import BlindInterval, Event, FlowTotals, KernelVerb, Outage, Timeline
from pytest_ciliumwg.model.traffic import Flow, Sighting

PODS = tuple(
    Pod(name=f"test-{name}", namespace="t", node=name, addresses=(ip_address(f"10.0.{number}.1"),))
    for number, name in enumerate(("one", "two", "three"))
)


def flows(*pods: Pod) -> dict[int, Flow]:
    return {flow.id: flow for flow in continuous_flows(pods or PODS, [IPFamily.V4], FlowNumbers())}


def timeline(**parts: Any) -> Timeline:
    all_flows = flows()
    totals = {n: FlowTotals(flow=n, sent=100, answered=100, lost=0) for n in all_flows}
    given: dict[str, Any] = {"started": 100.0, "stopped": 200.0, "flows": all_flows, "totals": totals}
    return Timeline(**{**given, "clear": (), "outages": (), "blind": (), "events": ()} | parts)


def clear(flow: int = 0, first: float = 150.0, last: float = 151.0, **other: Any) -> Sighting:
    given: dict[str, Any] = {"direction": "request", "node": "one", "device": "eth0", "outgoing": True, "how": "canary"}
    given |= {"frames": 20, "layers": "eth/ipv4/icmp"}
    return Sighting(**given | {"flow": flow, "first_at": first, "last_at": last} | other)


def outage(flow: int, first: float, last: float) -> Outage:
    return Outage(flow=flow, first_at=first, last_at=last, lost=int((last - first) * 20))


def event(at: float, what: str, node: str | None = "one", kind: Any = "kernel", since: float | None = None) -> Event:
    return Event(kind=kind, what=what, node=node, at=at, since=at if since is None else since)


def kernel(
    at: float, subject: str, verb: KernelVerb, node: str = "one", family: IPFamily | None = None, count: int = 1
) -> Event:
    """What a kernel told; its words are in another language, since nothing may be concluded from them."""
    what = f"{subject}: {verb[::-1]}"
    return Event(
        kind="kernel", what=what, node=node, at=at, since=at, subject=subject, verb=verb, family=family, count=count
    )


def blind(
    node: str, first: float, last: float, why: str = "its node agent was restarted", unheard: str | None = None
) -> BlindInterval:
    return BlindInterval(node=node, first_at=first, last_at=last, why=why, unheard=unheard)
