"""One cause, one finding: what is wrong with a node, what it does to traffic, and which checks follow from it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_ciliumwg.diagnosis.advisories import fitting
from pytest_ciliumwg.diagnosis.diagnosis import Diagnosis, counted, diagnose, names
from pytest_ciliumwg.diagnosis.statement import Statement
from pytest_ciliumwg.diagnosis.symptoms import symptoms, symptoms_of_change
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.traffic import Delivery, Direction, Flow, Protocol, Sighting, Verdict
from pytest_ciliumwg.verdict.judge import Judgement
from tests.watch.made import clear, kernel, timeline

NODES = ("a", "b", "c")


def flow(source: str, destination: str, number: int = 0, **more: Any) -> Flow:
    given: dict[str, Any] = {
        "id": number,
        "purpose": "pair",
        "source_node": source,
        "destination_node": destination,
        "source_pod": f"t/{source}",
        "destination_pod": f"t/{destination}",
        "source": ip_address("10.0.0.1"),
        "destination": ip_address("10.0.1.1"),
        "protocol": Protocol.UDP,
        "port": 20000,
        "payload_size": 64,
        "count": 3,
    }
    return Flow(**given | more)


def judged(of: Flow, verdict: Verdict, *directions: Direction) -> Judgement:
    seen = []
    for direction in directions:
        sender, receiver = of.pair if direction == "request" else (of.destination_node, of.source_node)
        for node, outgoing in ((sender, True), (receiver, False)):
            seen.append(
                Sighting(
                    flow=of.id, direction=direction, node=node, device="eth0", outgoing=outgoing, how="canary",
                    frames=3, first_at=100.0, last_at=101.0, layers="eth/ipv4/udp:20000",
                )
            )  # fmt: skip
    delivery = Delivery(flow=of.id, sent=3, received=3, served=3, payload_bytes=192)
    return Judgement(of, delivery, verdict, "", tuple(seen))


def failed(check: str, place: Place, said: str = "wrong") -> Statement:
    return Statement(check=check, title=check, outcome="fail", place=place, said=said, meaning=f"{check} means it.")


def doubtful(check: str, place: Place) -> Statement:
    return replace(failed(check, place), outcome="inconclusive")


def found(statements: list[Statement], judgements: list[Judgement], version: str = "1.18.3") -> tuple[Diagnosis, ...]:
    return diagnose(statements, symptoms(judgements), NODES, "", version)


def test_a_leak_is_told_with_the_state_of_the_node_that_sends() -> None:
    both = [judged(flow("a", "b"), Verdict.CLEARTEXT, "request"), judged(flow("c", "a", 1), Verdict.CLEARTEXT, "reply")]
    rows = [
        failed("wire.no-cleartext", Place.of_flow(flow("a", "b"))),
        failed("steering.rule", Place.of_node("a"), "no rule"),
        doubtful("wire.counters", Place.between("a", "c")),
    ]
    (only,) = found(rows, both)
    assert only.headline == (
        "a sends pods' traffic in cleartext: the ip rule that leads packets to WireGuard is missing or wrong"
    )
    assert [symptom.pair for symptom in only.symptoms] == [("a", "b"), ("a", "c")]
    assert [symptom.frames for symptom in only.symptoms] == [3, 3], "frames that arrive are not counted again"
    assert only.nodes == ("a",)
    assert only.leading == "steering.rule"
    assert only.failed == ("steering.rule", "wire.no-cleartext")
    assert only.inconclusive == ("wire.counters",)
    assert "ip rule" in only.look


def test_two_causes_are_two_findings_and_the_leak_comes_first() -> None:
    rows = [failed("peers.endpoint", Place.of_peer("c", "b")), failed("steering.rule", Place.of_node("a"))]
    first, second = found(rows, [judged(flow("a", "b"), Verdict.CLEARTEXT, "request")])
    assert first.nodes == ("a",)
    assert second.nodes == ("c",)
    assert second.headline == "c: a peer's endpoint is not that of its node"


def test_where_some_sizes_alone_are_lost_the_finding_says_so() -> None:
    large = [flow("a", "b", number, purpose="size", payload_size=size) for number, size in enumerate((1393, 1392))]
    (only,) = found([], [judged(one, Verdict.UNREACHABLE) for one in large])
    assert only.headline == "a → b: packets of some sizes are lost: no check of the state of the nodes explains it"
    assert str(only.symptoms[0]) == "a → b: UDP v4, 2 flows of 1392, 1393 bytes"
    (other,) = found([], [judged(one, Verdict.UNREACHABLE) for one in (large[0], flow("a", "b", 2))])
    assert "traffic is lost" in other.headline


def test_what_nothing_explains_is_told_as_that() -> None:
    (only,) = found([], [judged(flow("a", "b"), Verdict.BYPASS)])
    assert only.headline == "a → b: traffic goes past the tunnel: no check of the state of the nodes explains it"


def test_encryption_that_is_off_explains_all() -> None:
    everybody = [flow(one, other) for one in NODES for other in NODES if one != other]
    rows = [failed("config.encryption", Place.everywhere("the cluster")), failed("device.present", Place.of_node("b"))]
    rows += [doubtful("handshake.opened", Place.between("a", "b"))]
    (only,) = found(rows, [judged(each, Verdict.CLEARTEXT, "request", "reply") for each in everybody])
    assert only.headline == "a, b and c send pods' traffic in cleartext: WireGuard encryption is not enabled"
    assert only.failed == ("config.encryption", "device.present")


def test_a_node_without_a_key_explains_what_others_send_to_it() -> None:
    rows = [failed("peers.published", Place.of_node("b"))]
    (only,) = found(rows, [judged(flow(sender, "b"), Verdict.CLEARTEXT, "request") for sender in ("a", "c")])
    assert only.headline == "a and c send to b in cleartext: a node publishes no WireGuard key (on b)"


def test_lost_pairs_are_explained_by_either_end() -> None:
    missing = failed("peers.count", Place.of_node("a").concerning(["b"]))
    rows = [missing, failed("wire.delivered", Place.of_pair("b", "a"))]
    lost = [judged(flow("a", "b"), Verdict.UNREACHABLE), judged(flow("b", "a", 1), Verdict.UNREACHABLE)]
    (only,) = found(rows, lost)
    assert only.headline == "a and b: traffic is lost: WireGuard's peers are not the other nodes (on a)"
    assert only.failed == ("peers.count", "wire.delivered")


def test_a_blind_watch_is_no_cause_of_a_leak() -> None:
    rows = [failed("steering.rule", Place.of_node("a")), doubtful("capture.no-drops", Place.of_node("a", "eth0"))]
    leak, blind = found(rows, [judged(flow("a", "b"), Verdict.CLEARTEXT, "request")])
    assert leak.inconclusive == ()
    assert blind.headline == "a: not measured: wrong"


def test_what_a_watch_cannot_hear_where_nothing_comes_follows_from_that() -> None:
    deaf = doubtful("capture.control-received", Place.of_node("a").concerning(["b"]))
    lost = [judged(flow("a", "b"), Verdict.UNREACHABLE)]
    (only,) = found([deaf], lost)
    assert only.inconclusive == ("capture.control-received",)
    # A peer that is missing does not keep control canaries from arriving: they do not take the tunnel.
    known, blind = found([deaf, failed("peers.count", Place.of_peer("a", "b"))], lost)
    assert (known.inconclusive, blind.inconclusive) == ((), ("capture.control-received",))
    (elsewhere, _) = found([replace(deaf, place=Place.of_node("a").concerning(["c"]))], lost)
    assert elsewhere.inconclusive == ()


def test_nothing_is_heard_inside_a_tunnel_that_is_down() -> None:
    rows = [failed("device.up", Place.of_node("a")), doubtful("capture.inside", Place.of_node("a", "cilium_wg0"))]
    (only,) = found(rows, [])
    assert only.inconclusive == ("capture.inside",)
    _, other = found([rows[0], doubtful("capture.inside", Place.of_node("b", "cilium_wg0"))], [])
    assert other.headline == "b: not measured: wrong"


def test_one_check_that_fails_on_several_nodes_is_one_finding() -> None:
    rows = [failed("steering.other-ways", Place.of_node(node), f"a route to {node}") for node in ("a", "b")]
    past = [judged(flow("a", "b"), Verdict.BYPASS), judged(flow("b", "a", 1), Verdict.BYPASS)]
    (only,) = found(rows, past)
    assert only.headline == "a and b: traffic goes past the tunnel: another route leads to pods of other nodes"


def test_what_is_dropped_by_design_or_not_promised_is_no_symptom() -> None:
    dropped = flow("a", "b", dropped_by_design=True)
    clear = flow("a", "b", promised=False)
    assert found([], [judged(dropped, Verdict.UNREACHABLE), judged(clear, Verdict.CLEARTEXT, "request")]) == ()


def test_every_statement_is_in_a_finding() -> None:
    rows = [
        failed("steering.rule", Place.of_node("a")),
        failed("wire.framing", Place.of_node("c", "eth0")),
        failed("wire.framing", Place.of_node("b", "eth0")),
        doubtful("device.mtu", Place.of_node("b")),
    ]
    told = [statement for finding in found(rows, []) for statement in (*finding.state, *finding.consequences)]
    assert sorted(map(str, told)) == sorted(map(str, rows))


@pytest.mark.parametrize(
    ("version", "change", "fits"),
    [("1.15.0", "pod-churn", True), ("1.15.16", "pod-churn", False), ("1.17.2", "agent-restart", False)],
)
def test_an_advisory_is_told_where_version_and_pattern_fit(version: str, change: str, fits: bool) -> None:
    assert [advisory.id for advisory in fitting(version, [change])] == (["CVE-2025-32793"] if fits else [])


def test_words() -> None:
    assert names(["c", "a"], NODES) == "a and c"
    many = tuple("abcdef")
    assert names(many, many) == "all 6 nodes"
    assert names("abcde", many) == "a, b, c and 2 more nodes"
    assert list(counted(["wire.x[a]", "wire.x[b]", "size.y"])) == ["wire.x ×2", "size.y"]
    several = ["peers.count", *(f"wire.{letter}" for letter in "abcdef"), "wire.a[v4]"]
    assert list(counted(several)) == ["peers.count", "wire.* ×7"]


def test_a_leak_during_a_change_is_told_with_what_was_missing() -> None:
    events = (kernel(149.9, "cilium_wg0", "removed"), kernel(151.2, "cilium_wg0", "created"))
    seen = symptoms_of_change(timeline(events=events, clear=(clear(),)))
    rows = [failed("change.no-cleartext", Place.of_change("agent-restart"))]
    (only,) = diagnose(rows, seen, ("one", "two"), "agent-restart", "1.13")
    assert only.headline == (
        "one sends pods' traffic to two in cleartext: all of it while cilium_wg0 was missing on one"
    )
    assert only.symptoms[0].frames == 20


def test_a_leak_of_pods_that_end_fits_its_advisory() -> None:
    seen = symptoms_of_change(timeline(clear=(clear(),)))
    (only,) = diagnose([], seen, ("one", "two"), "pod-churn", "1.15.1")
    assert only.advisories[0].startswith("CVE-2025-32793: ")
