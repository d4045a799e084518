"""Each fault does what it says, to the node and pair that it names, in the kernel and on the wire."""

from __future__ import annotations

import json
import time

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.faults.catalogue import parse
from pytest_ciliumwg.faults.tools import vxlan
from pytest_ciliumwg.faults.wire.handshake import shake_hands
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab import LabCluster
from tests.lab.conftest import Raise
from tests.lab.tools import ALL, ICMP, UDP, V6, Sniffed, sniffing, talk
from tests.patience import PATIENCE

NONE: frozenset[str] = frozenset()
RULE, REDIRECT = "1.13", "1.18"

ON_THE_WIRE = [
    (RULE, "encryption-off", ALL, ICMP),
    (REDIRECT, "encryption-off", ALL, ICMP),
    (RULE, "encryption-off@lab-worker", ALL, NONE),
    (REDIRECT, "encryption-off@lab-worker", ALL, ICMP),
    (RULE, "rule-deleted", ALL, ICMP),
    (RULE, "table-emptied", ALL, ICMP),
    (REDIRECT, "redirect-removed-v6", V6, ICMP),
    (REDIRECT, "peer-removed", NONE, NONE),
    (REDIRECT, "allowed-ip-missing", NONE, NONE),
    (RULE, "wrong-peer-key", NONE, NONE),
    (RULE, "leak-udp-pair", UDP, ICMP),
    (REDIRECT, "leak-udp-pair", UDP, ICMP),
    (RULE, "leak-snat", ALL, ICMP),
    (REDIRECT, "leak-snat", ALL, ICMP),
    (RULE, "leak-vxlan", ALL, ICMP),
    (REDIRECT, "leak-vxlan", ALL, ICMP),
    (REDIRECT, "blackhole", NONE, NONE),
    (REDIRECT, "watch-late", NONE, ICMP),
    (REDIRECT, "tiny-ring", NONE, ICMP),
]


def sniffed_at_the_worker(cluster: LabCluster, *, wait: float = 2.0) -> tuple[Sniffed, set[str]]:
    """What the first worker's wire showed while it talked to the next node, and the pings that were answered."""
    lab = cluster.lab
    node = lab.node("lab-worker")
    with sniffing(lab, node) as seen:
        answered = talk(lab, node, lab.next_to(node), wait=wait)
    return seen, answered


@pytest.mark.thorough(
    but=(
        "1.13-rule-deleted-clear4-answered4",
        "1.18-leak-vxlan-clear15-answered15",
        "1.18-redirect-removed-v6-clear6-answered6",
    )
)
@pytest.mark.parametrize(("version", "fault", "clear", "answered"), ON_THE_WIRE)
def test_on_the_wire(
    raise_lab: Raise, version: str, fault: str, clear: frozenset[str], answered: frozenset[str]
) -> None:
    cluster = raise_lab(version, nodes=2, faults=(fault,))
    seen, delivered = sniffed_at_the_worker(cluster, wait=2.0 if answered else 0.2)
    assert seen.clear() == clear
    assert delivered == answered
    assert any(line.startswith(f"FAULT {fault.partition('@')[0]} on ") for line in cluster.description)


@pytest.mark.parametrize("version", [RULE, REDIRECT])
def test_eth1_leaks_on_eth1_alone(raise_lab: Raise, version: str) -> None:
    seen, delivered = sniffed_at_the_worker(raise_lab(version, nodes=2, faults=("leak-eth1",)))
    assert delivered == ICMP
    assert seen.clear("eth0") == set()
    assert seen.clear("eth1") == ALL


def test_snat_hides_the_pod(raise_lab: Raise) -> None:
    cluster = raise_lab(nodes=2, faults=("leak-snat",))
    seen, _ = sniffed_at_the_worker(cluster)
    pod = cluster.lab.node("lab-worker").test_pod.pod
    hidden = [ip.packed for ip in pod.addresses]
    requests = [frame for frame in seen.with_marker() if any(ip.packed in frame for ip in cluster.nodes()[1].addresses)]
    assert requests
    assert not any(address in frame[:64] for frame in requests for address in hidden)


@pytest.mark.parametrize("kernel", [True, False])
def test_vxlan_wraps(raise_lab: Raise, monkeypatch: pytest.MonkeyPatch, kernel: bool) -> None:
    monkeypatch.setattr(vxlan, "_kernel_has_vxlan", lambda lab, node: kernel)
    seen, delivered = sniffed_at_the_worker(raise_lab(nodes=2, faults=("leak-vxlan",)))
    assert delivered == ICMP
    wrapped = seen.with_marker()
    assert {frame[36:38] for frame in wrapped} == {vxlan.PORT.to_bytes(2, "big")}


def test_a_leak_is_one_pair_and_one_way(raise_lab: Raise) -> None:
    lab = raise_lab(faults=("leak-udp-pair@lab-worker",)).lab
    control_plane, worker, worker2 = lab.layout
    for source, destination in [(worker2, worker), (worker, control_plane), (control_plane, worker2)]:
        with sniffing(lab, source) as seen:
            assert talk(lab, source, destination) == ICMP
        assert not seen.clear()


def test_encryption_off_unpublishes(raise_lab: Raise) -> None:
    cluster = raise_lab(REDIRECT, faults=("encryption-off",))
    assert cluster.declared.encryption
    assert not cluster.actual_config().encryption
    assert {node.public_key for node in cluster.nodes()} == {None}
    state = cluster.state("lab-worker2")
    assert (state.link, state.wireguard, state.peers, state.redirects) == (None, None, (), ())
    assert not state.unread


@pytest.mark.parametrize("version", [RULE, REDIRECT])
def test_encryption_off_on_one_node_leaves_the_others(raise_lab: Raise, version: str) -> None:
    cluster = raise_lab(version, faults=("encryption-off@lab-worker",))
    assert cluster.actual_config().encryption
    assert cluster.state("lab-worker").link is None
    other = cluster.state("lab-worker2")
    assert len(other.peers) == 1
    control_plane, _, worker2 = cluster.lab.layout
    with sniffing(cluster.lab, worker2) as seen:
        assert talk(cluster.lab, worker2, control_plane) == ICMP
    assert not seen.clear()


def test_steering_faults_show_in_the_state(raise_lab: Raise) -> None:
    assert not any(rule.table == "201" for rule in raise_lab(RULE, faults=("rule-deleted",)).state("lab-worker").rules)
    emptied = raise_lab(RULE, faults=("table-emptied",)).state("lab-worker")
    assert any(rule.table == "201" for rule in emptied.rules)
    assert not any(route.table == "201" for route in emptied.routes)
    redirects = raise_lab(REDIRECT, faults=("redirect-removed-v6",)).state("lab-worker").redirects
    assert [redirect.families for redirect in redirects] == [frozenset({IPFamily.V4})]


def test_peer_faults_show_in_the_state(raise_lab: Raise) -> None:
    cluster = raise_lab(faults=("peer-removed", "wrong-peer-key@lab-worker2", "allowed-ip-missing@lab-control-plane"))
    keys = cluster.lab.keys
    assert {peer.public_key for peer in cluster.state("lab-worker").peers} == {keys["lab-control-plane"]}
    stranger = {peer.public_key for peer in cluster.state("lab-worker2").peers} - set(keys.values())
    assert len(stranger) == 1
    peers = {peer.public_key: peer for peer in cluster.state("lab-control-plane").peers}
    worker = cluster.lab.node("lab-worker")
    allowed = {network.network_address for network in peers[keys["lab-worker"]].allowed_ips}
    assert allowed.isdisjoint(worker.test_pod.pod.addresses)
    assert allowed.issuperset(worker.idle_pod.pod.addresses)


WATCH = {"secret": "00" * 32, "flows": [], "exclusive": [], "own": [], "devices": ["eth0"], "wireguard_port": 51871,
         "inside": {"device": "cilium_wg0", "headers": False}, "pods": [], "pod_controls": [], "retire_ms": 100,
         "machines": []}  # fmt: skip


def ask(cluster: LabCluster, **request: object) -> dict[str, object]:
    """Say something to the first worker's agent."""
    port = cluster.node_agent("lab-worker")
    reply = json.loads(port.exchange(json.dumps(request).encode() + b"\n", timeout=PATIENCE))
    assert isinstance(reply, dict)
    assert reply["ok"], reply
    return reply


def test_tiny_ring_drops(raise_lab: Raise) -> None:
    cluster = raise_lab(nodes=2, faults=("tiny-ring",))
    assert cluster.node_agent("lab-worker").name == "lab-worker"
    ask(cluster, op="watch-start", job="w", ring={"block_size": 1 << 20, "blocks": 8}, **WATCH)
    devices = ask(cluster, op="watch-stop", job="w")["devices"]
    assert isinstance(devices, dict)
    assert devices["eth0"]["drops"] > 0


def test_a_late_watch_says_that_it_began_and_begins_later(raise_lab: Raise) -> None:
    cluster = raise_lab(nodes=2, faults=("watch-late",))
    assert cluster.node_agent("lab-worker").name == "lab-worker"
    control = {"op": "control", "secret": "00" * 32, "devices": ["eth0"], "targets": [],
               "ways": [], "inside": "cilium_wg0", "pod_controls": []}  # fmt: skip
    start = ask(cluster, op="watch-start", job="w", ring={"block_size": 1 << 20, "blocks": 8}, **WATCH)
    assert start.keys() == {"ok", "started"}
    ask(cluster, **control, number=1)
    flows = time.time()
    ask(cluster, **control, number=2)
    started = ask(cluster, op="watch-stop", job="w")["started"]
    assert isinstance(started, float)
    assert started > flows


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"faults": ("leek",)}, "no fault 'leek'; the faults are agent-dead, agent-dies, "),
        ({"faults": ("blackhole@moon",)}, "cannot hit 'moon': the lab's nodes are lab-control-plane, lab-worker, "),
        ({"faults": ("rule-deleted",)}, "needs a Cilium that steers by rule; Cilium 1.18 steers by redirect"),
        ({"version": RULE, "faults": ("redirect-removed-v6",)}, "steers by redirect; Cilium 1.13 steers by rule"),
        ({"families": frozenset({IPFamily.V4}), "faults": ("redirect-removed-v6",)}, "the IP family v6"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(raise_lab: Raise, spec: dict[str, object], sentence: str) -> None:
    with pytest.raises(ProviderError, match=sentence):
        raise_lab(**spec)


def test_no_fault_needs_ping_or_the_list_of_protocols(raise_lab: Raise) -> None:
    """A minimal installation has neither; `udp-pair`, `tcp-end` and `icmp-pair` name each protocol that faults name."""
    lab = raise_lab(REDIRECT, nodes=2, families=frozenset({IPFamily.V4})).lab
    node = lab.node("lab-worker")
    lab.sandbox.run(
        "for file in /etc/protocols $(command -v ping); do [ ! -e $file ] || mount --bind /dev/null $file; done"
    )
    assert "no ping" in lab.run_in_pod(node, "ping -c 1 127.0.0.1 >/dev/null 2>&1 || echo no ping")
    for name in ("leak-udp-pair", "leak-tcp-end", "leak-icmp-pair", "leak-rare"):
        parse(f"{name}@lab-worker", 2).apply(lab)
    assert "58" in lab.run_in(node, "nft list ruleset | grep 'meta l4proto'")
    device = lab.expected.device_name
    show = f"wg show {device} latest-handshakes"
    assert lab.run_in(node, show).split()[-1] == "0"
    shake_hands(lab, node, lab.next_to(node))
    assert lab.run_in(node, show).split()[-1] != "0"
