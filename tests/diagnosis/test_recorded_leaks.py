"""Leaks of real clusters, with the state of their node: the first finding names the node, the pair and the cause."""

from __future__ import annotations

import gzip
import importlib.util
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from scapy.utils import RawPcapReader

from pytest_ciliumwg.agent.canary import Canaries
from pytest_ciliumwg.agent.capture.frames import FlowIndex
from pytest_ciliumwg.checks.helpers import Observed
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.diagnosis.diagnosis import diagnose
from pytest_ciliumwg.diagnosis.statement import Statement
from pytest_ciliumwg.diagnosis.symptoms import Symptom, symptoms, symptoms_of_change
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Pod
from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.traffic import Delivery, Direction, Flow, Protocol, Sighting, Verdict
from pytest_ciliumwg.observe.iproute import links_from_ip, routes_from_ip, rules_from_ip
from pytest_ciliumwg.observe.tc import redirects_from_bpftool
from pytest_ciliumwg.verdict.judge import Judgement
from tests.apidouble.recorded import routes_as_json
from tests.observe import recordings
from tests.watch.made import event, timeline

NODES = ("rig-control-plane", "rig-worker", "rig-worker2")
SENDER, RECEIVER = "rig-worker", "rig-worker2"
ROOT = Path(__file__).parents[2]
V4, V6 = IPFamily.V4, IPFamily.V6


def healthy(state: str) -> NodeState:
    """What the node's outputs say of it, as far as the checks below ask."""
    redirects = redirects_from_bpftool(recordings.node(state, "bpftool-net.json"))
    (tunnel,) = links_from_ip(recordings.node(state, "ip-d-link-cilium_wg0.json"))
    links = links_from_ip(recordings.node(state, "ip-addr.json"))
    main = routes_from_ip(routes_as_json(recordings.node(state, "ip-route.txt")), V4, "main")
    failed, _ = recordings.failure(state, "ip-route-table-201.json")
    table = () if failed else routes_from_ip(recordings.node(state, "ip-route-table-201.json"), V4, "201")
    return NodeState(
        node=SENDER, observed_at=0.0, link=tunnel, wireguard=None, peers=(),
        rules=(*rules_from_ip(recordings.node(state, "ip-rule.json"), V4),
               *rules_from_ip(recordings.node(state, "ip-6-rule.json"), V6)),
        routes=(*main, *table), redirects=tuple(redirects),
        native_devices=tuple(link for link in links if link.name == "eth0"), rp_filter=0,
    )  # fmt: skip


def without_rule(state: NodeState) -> NodeState:
    return replace(state, rules=tuple(rule for rule in state.rules if rule.table != "201"))


def without_rule6(state: NodeState) -> NodeState:
    recorded = rules_from_ip(recordings.node("v1.13/rule6-deleted", "ip-6-rule.json"), V6)
    return replace(state, rules=(*(rule for rule in state.rules if rule.family is V4), *recorded))


def without_route(state: NodeState) -> NodeState:
    recorded = routes_from_ip(recordings.node("v1.13/off", "ip-route-table-201.json"), V4, "201")
    return replace(state, routes=(*(route for route in state.routes if route.table == "main"), *recorded))


def device_down(state: NodeState) -> NodeState:
    assert state.link
    return replace(state, link=replace(state.link, flags=state.link.flags - {"UP"}))


def without_egress_program(state: NodeState) -> NodeState:
    recorded = redirects_from_bpftool(recordings.node("v1.15/off", "bpftool-net.json"))
    return replace(state, redirects=tuple(recorded))


# capture → (state before, what the hand did, the check, its family; pods; why)
LEAKS: dict[str, tuple[str, Callable[[NodeState], NodeState], str, IPFamily, tuple[str, str], str]] = {
    "1.13-rule-deleted": (
        "v1.13/on", without_rule, "steering.rule", V4, ("10.0.1.56", "10.0.0.91"),
        "the ip rule that leads packets to WireGuard is missing or wrong",
    ),
    "1.13-rule6-deleted": (
        "v1.13/dual", without_rule6, "steering.rule", V6, ("fd00:10:244:2::80e2", "fd00:10:244:1::e402"),
        "the ip rule that leads packets to WireGuard is missing or wrong",
    ),
    "1.13-route201-deleted": (
        "v1.13/on", without_route, "steering.table", V4, ("10.0.1.56", "10.0.0.91"),
        "routing table 201 does not lead into cilium_wg0",
    ),
    "1.13-wg0-down": ("v1.13/on", device_down, "device.up", V4, ("10.0.1.56", "10.0.0.91"), "cilium_wg0 is down"),
    "1.15-egress-filter-removed": (
        "v1.15/on", without_egress_program, "steering.redirect", V4, ("10.0.1.142", "10.0.0.157"),
        "no program redirects packets into cilium_wg0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEAKS)
def test_state_explains_it(name: str) -> None:
    recorded, broken, check, family, pods, why = LEAKS[name]
    before = healthy(recorded)
    assert list(statements(before, recorded, check, family, pods)) == []
    found = list(statements(broken(before), recorded, check, family, pods))
    first, *others = diagnose(found, leak(name, pods), NODES, "", "1.13")
    assert not others
    assert first.headline == f"{SENDER} sends pods' traffic to {RECEIVER} in cleartext: {why}"
    assert (first.nodes, first.leading) == ((SENDER,), check)
    assert [symptom.pair for symptom in first.symptoms] == [(SENDER, RECEIVER)], "its answers came encrypted"
    assert (first.symptoms[0].protocols, first.symptoms[0].families) == (("icmp",), (family,))


# capture → (pods, what was done, the stage)
CHANGES = {
    "1.13-agent-restart": (("10.0.1.56", "10.0.0.91"), "restarting the Cilium agent", "agent-restart"),
    "1.13-agent-restart-2": (("10.0.1.56", "10.0.0.91"), "restarting the Cilium agent", "agent-restart"),
    "upgrade-1.13-to-1.15": (("10.0.1.106", "10.0.0.104"), "upgrading Cilium to 1.15", "upgraded-to-1.15"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_leak_during_a_change_is_told_with_it(name: str) -> None:
    pods, what, stage = CHANGES[name]
    seen = sightings(name, pods)
    made = event(seen[0].first_at - 0.2, what, SENDER, kind="change")
    around = {"started": seen[0].first_at - 5, "stopped": seen[-1].last_at + 5}
    watched = timeline(**around, flows={0: flow(pods)}, events=(made,), clear=tuple(seen))
    first, *others = diagnose([], symptoms_of_change(watched), NODES, stage, "1.13")
    assert not others
    pairs = {symptom.pair for symptom in first.symptoms}
    assert pairs == ({(SENDER, RECEIVER), (RECEIVER, SENDER)} if "upgrade" in name else {(SENDER, RECEIVER)})
    assert first.headline.startswith(SENDER)
    assert first.headline.endswith(f"in cleartext: after {what} on {SENDER}")


def statements(
    state: NodeState, recorded: str, check: str, family: IPFamily, pods: tuple[str, str]
) -> Iterator[Statement]:
    """What a check of the suite says of a node's state."""
    area, _, name = check.partition(".")
    verify = Verify()
    config = CiliumConfig(version=f"1.{recorded[3:5]}", encryption=True, families=frozenset({V4, V6}))
    observed = Observed(SimpleNamespace(first=SimpleNamespace(states={SENDER: state}), judged_again=()), verify)  # type: ignore[arg-type]
    given: dict[str, Any] = {"observed": observed, "verify": verify, "expected": expectations_for(config)}
    given |= {
        "family": family,
        "nodes": (),
        "pods": (Pod(name="b", namespace="default", node=RECEIVER, addresses=(ip_address(pods[1]),)),),
    }
    test = getattr(suite(area), f"test_{name}")
    test(
        **{key: value for key, value in given.items() if key in test.__code__.co_varnames[: test.__code__.co_argcount]}
    )
    for finding in verify.findings:
        said = f"expected {finding.expected}; seen: {finding.seen}"
        yield Statement(check=check, title=check, outcome="fail", place=finding.place, said=said)
    assert not verify.not_measured


def suite(area: str) -> ModuleType:
    """A module of the suite."""
    spec = importlib.util.spec_from_file_location(f"suite_{area}", ROOT / "suites" / f"test_{area}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leak(name: str, pods: tuple[str, str]) -> Sequence[Symptom]:
    """What the capture shows of the pods' pings."""
    of, seen = flow(pods), sightings(name, pods)
    delivery = Delivery(flow=of.id, sent=100, received=100, served=-1, payload_bytes=5600)
    return symptoms([Judgement(of, delivery, Verdict.CLEARTEXT, "", tuple(seen))])


def flow(pods: tuple[str, str]) -> Flow:
    return Flow(
        id=0, purpose="load", source_node=SENDER, destination_node=RECEIVER, source_pod="default/a",
        destination_pod="default/b", source=ip_address(pods[0]), destination=ip_address(pods[1]),
        protocol=Protocol.ICMP, port=1, payload_size=56, count=100,
    )  # fmt: skip


def sightings(name: str, pods: tuple[str, str]) -> list[Sighting]:
    """The frames of both directions that the search finds in a capture on the sender's eth0."""
    source, destination = (ip_address(pod).packed for pod in pods)
    index = FlowIndex(
        Canaries(b"\xff" * 4, b"\xff" * 4, b"none", b""), [(0, 1 if len(source) == 4 else 58, source, destination, 1)]
    )
    moments: dict[Direction, list[float]] = {}
    capture = io.BytesIO(gzip.decompress((ROOT / "tests" / "recordings" / "pcap" / f"{name}.pcap.gz").read_bytes()))
    with RawPcapReader(capture) as frames:  # type: ignore[arg-type]  # it reads files too
        for data, meta in frames:
            if index.find(data) is not None:
                direction: Direction = "request" if data.find(source) < data.find(destination) else "reply"
                moments.setdefault(direction, []).append(meta.sec + meta.usec / 1e6)
    return [
        Sighting(
            flow=0, direction=direction, node=SENDER, device="eth0", outgoing=direction == "request", how="header",
            frames=len(at), first_at=at[0], last_at=at[-1], layers="eth/ipv4/icmp",
        )
        for direction, at in moments.items()
    ]  # fmt: skip
