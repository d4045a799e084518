"""What an eavesdropper between the nodes gets: WireGuard, and nothing of ours in cleartext."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

import pytest

from pytest_ciliumwg.checks.helpers import (
    LEAK,
    ONLY_REPORTED,
    assert_delivered,
    assert_encrypted,
    assert_in_the_tunnel,
    judged,
    note_foreign,
    note_quoted,
    peer_names,
    refuse_pods_in_clear,
    seen_in_clear,
    wireguard_messages,
)
from pytest_ciliumwg.checks.paths import CUSTODY
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.cluster import IPFamily, Node
from pytest_ciliumwg.model.node_state import NodeState, Peer
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.model.traffic import Protocol, Purpose, Verdict
from pytest_ciliumwg.model.watch import MessageKind
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.verdict.judge import Judge
from pytest_ciliumwg.verdict.other_pods import in_clear, unproven

ENCRYPTED = 'documentation, "Which traffic is encrypted": pod to pod on another node'


@pytest.mark.ciliumwg_check("wire.delivered", source=ENCRYPTED)
def test_delivered(judge: Judge, verify: Verify, family: IPFamily, protocol: Protocol) -> None:
    """Every message from a pod to a pod on another node is answered, for every directed pair of nodes."""
    for judgement in judged(judge, "pair", family, protocol):
        assert_delivered(verify, judgement, "The pods cannot talk.")


@pytest.mark.ciliumwg_check("wire.no-cleartext", source=ENCRYPTED)
def test_no_cleartext(judge: Judge, verify: Verify, family: IPFamily, protocol: Protocol) -> None:
    """No request and no reply between pods on two nodes is seen in cleartext on any native device."""
    for judgement in judged(judge, "pair", family, protocol):
        assert_encrypted(verify, judgement)


@pytest.mark.ciliumwg_check("wire.custody", source=CUSTODY)
def test_chain_of_custody(judge: Judge, verify: Verify, family: IPFamily, protocol: Protocol) -> None:
    """What is delivered goes into cilium_wg0 on the sender's node and comes out on the receiver's; so do replies."""
    for purpose in get_args(Purpose):
        for judgement in judged(judge, purpose, family, protocol):
            lost_size = purpose == "size" and judgement.verdict is Verdict.UNREACHABLE  # size.delivered tells
            if judgement.flow.promised and not lost_size:
                assert_in_the_tunnel(verify, judgement)


@pytest.mark.ciliumwg_check(
    "wire.first-packet", source='documentation, "Egress traffic to not yet discovered remote endpoints"'
)
def test_first_packet(judge: Judge, verify: Verify) -> None:
    """The very first packet between two nodes, which opens their WireGuard session, is not in cleartext either."""
    for judgement in judge.judgements:
        if judgement.flow.purpose == "first":
            assert_encrypted(verify, judgement)


@pytest.mark.ciliumwg_check(
    "wire.sustained", source="CVE-2025-32793 and recordings of agent restarts: cleartext that is rare or begins later"
)
def test_sustained(judge: Judge, verify: Verify, family: IPFamily) -> None:
    """Of many packets in a row between two nodes, each node with the next one, not a single one is in cleartext."""
    for protocol in Protocol:
        for judgement in judged(judge, "load", family, protocol):
            assert_encrypted(verify, judgement)


@pytest.mark.ciliumwg_check("wire.nothing-else", source="design: between test pods runs nothing but test flows")
def test_nothing_unattributed(judge: Judge, verify: Verify) -> None:
    """No frame in cleartext carries a canary or two test pods' addresses without belonging to a known flow."""
    watches = judge.measurement.watches
    note_foreign(verify, judge.devices, "flows")
    for node, watch in watches.items():
        if node in judge.blindness:
            verify.unmeasured(Place.of_node(node), judge.blindness[node][0])
            continue
        for why in filter(None, (judge.unheard(node, watcher) for watcher in watches if watcher != node)):
            verify.unmeasured(Place.of_node(node), why)
        note_quoted(verify, watch.quoted)
        found = [seen for seen in judge.unattributed if seen in watch.sightings]
        ends = dict.fromkeys(address for seen in found for address in judge.ends(seen))
        verify(
            not found,
            where=Place(node=node, ends=tuple(ends)),
            expected="nothing of ours",
            seen=seen_in_clear(found),
            meaning=LEAK,
        )


@pytest.mark.ciliumwg_check("wire.other-pods", source=ENCRYPTED, offline="also")
def test_other_pods(judge: Judge, settings: Settings, expected: Expectations, verify: Verify) -> None:
    """Nothing between other pods, or an Ingress and pods, of two nodes is in cleartext: known by headers alone."""
    measurement, everywhere = judge.measurement, Place.everywhere("all nodes")
    if settings.other_pods == "off":
        verify.unsupported(everywhere, "left out by --ciliumwg-other-pods=off")
        return
    if "pod-to-pod" not in expected.encrypted_paths:
        verify.unsupported(everywhere, f"not promised by Cilium {expected.config.version} as configured")
        return
    for node, why in unproven(measurement, expected.config.families):
        verify.unmeasured(Place.of_node(node), why)
    found = list(in_clear(measurement))
    note_foreign(verify, judge.devices, "pods")
    refuse_pods_in_clear(verify, found, ONLY_REPORTED if settings.other_pods == "report" else "")
    if not found:
        verify(True, where=everywhere, expected="nothing in cleartext", seen="nothing")


@pytest.mark.ciliumwg_check("wire.tunnelled", source=ENCRYPTED)
def test_data_messages_in_both_directions(judge: Judge, verify: Verify) -> None:
    """Both nodes of a directed pair see WireGuard data messages from the one to the other."""
    for end, nodes in (("sends to", {pair[0] for pair in judge.pairs}), ("serves", {pair[1] for pair in judge.pairs})):
        for node in judge.measurement.watches.keys() - nodes:
            verify.unmeasured(Place.of_node(node), f"it {end} no other node in the flows of this run")
    for source, destination in judge.pairs:
        between = judge.between.get(frozenset((source, destination)), ())
        if not any(judgement.delivery.received for judgement in between if judgement.flow.promised):
            verify.unmeasured(Place.of_pair(source, destination), "nothing was delivered (see wire.delivered)")
            continue
        for watcher in (source, destination):
            count, _ = judge.data_messages(watcher, source, destination)
            blind = judge.blindness.get(watcher, ())
            doubt = blind[0] if blind else judge.unheard(watcher, destination if watcher == source else source)
            if not count and doubt:
                verify.unmeasured(Place.of_node(watcher), doubt)
                continue
            verify(
                count > 0,
                where=Place.of_pair(source, destination, seen_from=watcher),
                expected="WireGuard data messages on a native device",
                seen="none",
                meaning="What was delivered between the two did not go through the tunnel.",
            )


@pytest.mark.ciliumwg_check(
    "wire.outer-addresses",
    source="pkg/wireguard/agent/agent.go: endpoint = node address, port 51871",
    offline="also",
)
def test_outer_addresses(judge: Judge, nodes: Sequence[Node], verify: Verify) -> None:
    """WireGuard's outer packets run between node addresses."""
    known = {ip for node in nodes for ip in judge.addresses(node.name)}
    note_foreign(verify, judge.devices, "wireguard")
    for node, device, messages in wireguard_messages(judge, verify):
        verify(
            messages.source in known and messages.destination in known,
            where=Place.of_node(node, device).concerning(addresses=[messages.source, messages.destination]),
            expected="node addresses on both ends",
            seen=f"{messages.source} → {messages.destination}",
            meaning="The tunnel ends somewhere that is no node of this cluster.",
        )


@pytest.mark.ciliumwg_check("wire.framing", source="WireGuard whitepaper, section 5.4", offline="also")
def test_framing(judge: Judge, verify: Verify) -> None:
    """Whatever uses port 51871 between nodes is a WireGuard message."""
    for node, device, messages in wireguard_messages(judge, verify):
        verify(
            messages.kind is not MessageKind.OTHER,
            where=Place.of_outer(node, device, messages.source, messages.destination),
            expected="type, reserved bytes and size of a WireGuard message",
            seen=f"{messages.count} datagrams that are none",
            meaning="Something else uses the tunnel's port, so the port alone does not mean that it is encrypted.",
        )


@pytest.mark.ciliumwg_check("wire.ciphertext", source="RFC 8439: a keystream of its own for every nonce")
def test_ciphertext(judge: Judge, verify: Verify) -> None:
    """A sample of WireGuard's data messages neither repeats itself every 16 bytes nor another message."""
    watches = judge.measurement.watches
    if not any(report.ciphertext for watch in watches.values() for report in watch.devices.values()):
        verify.unmeasured(Place.everywhere("all nodes"), "no WireGuard data message was seen (see wire.tunnelled)")
    for node, watch in watches.items():
        for device, report in watch.devices.items():
            for sample in report.ciphertext:
                verify(
                    not sample.periodic and not sample.repeated,
                    where=Place.of_outer(node, device, sample.source, sample.destination),
                    expected="no pattern",
                    seen=f"of {sample.sampled} messages {sample.periodic} with a period of 16 bytes, "
                    f"{sample.repeated} like another one",
                    meaning="It has WireGuard's framing, and is not encrypted by ChaCha20-Poly1305: it can be read.",
                )


@pytest.mark.ciliumwg_check("wire.counters", source="wg(8): transfer")
def test_counters(judge: Judge, nodes: Sequence[Node], verify: Verify) -> None:
    """The byte counters of every peer grew at least by the payload that was sent and received in the tunnel."""
    names = peer_names(nodes)
    for state, before, after, peer in _peers(judge, names, verify):
        least = _payload(judge, state.node, peer)
        if not least:
            verify.unmeasured(
                Place.between(state.node, peer), "no flow of this pair was encrypted (see wire.no-cleartext)"
            )
            continue
        for what, grew in (
            ("tx", after.tx_bytes - before.tx_bytes),
            ("rx", after.rx_bytes - before.rx_bytes),
        ):
            verify(
                grew >= least,
                where=Place.of_peer(state.node, peer),
                expected=f"{what} grown by at least {least} bytes",
                seen=f"{grew}",
                meaning="The payload went another way than through this peer.",
            )


def _payload(judge: Judge, node: str, peer: str) -> int:
    """Payload bytes that passed between two nodes in the tunnel at least, in each of the two directions."""
    # Every message was answered, so each passed at least once in both directions; repeats may have been lost.
    return sum(
        judgement.flow.count * judgement.flow.payload_size
        for judgement in judge.between.get(frozenset((node, peer)), ())
        if judgement.verdict is Verdict.ENCRYPTED and judgement.flow.path == "pod-to-pod"
    )


def _peers(judge: Judge, names: Mapping[str, str], verify: Verify) -> Iterator[tuple[NodeState, Peer, Peer, str]]:
    """Each node's peers before and after the watch: those with which it was asked to talk."""
    measurement = judge.measurement
    for node, state in measurement.before.items():
        after = {peer.public_key: peer for peer in measurement.after[node].real_peers()}
        before = {peer.public_key: peer for peer in state.real_peers()}
        for key, name in names.items():
            if name == node or judge.left_out(node, name):
                continue
            if key in before and key in after:
                yield state, before[key], after[key], name
            else:
                verify.unmeasured(Place.between(node, name), f"{name} was not a peer of {node} all the time")
