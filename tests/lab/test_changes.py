"""Faults that act during a change, and leaks of exactly so many packets."""

from __future__ import annotations

import os
import signal

import pytest

from pytest_ciliumwg.faults.tools.window import leak_packets
from pytest_ciliumwg.model.cluster import IPFamily
from tests.lab.conftest import Raise
from tests.lab.tools import pinging, shape, sniffing

WORKER = "lab-worker"
RULE, REDIRECT = "1.13.18", "1.20.3"


def clear_frames(frames: list[bytes]) -> int:
    """How many frames can be read."""
    return sum(b"icmp--v4" * 2 in frame or b"icmp--v6" * 2 in frame for frame in frames)


@pytest.mark.thorough
@pytest.mark.parametrize(("version", "to"), [(RULE, "1.15.10"), (REDIRECT, RULE)])
def test_exactly_so_many_packets_are_clear(raise_lab: Raise, version: str, to: str) -> None:
    cluster = raise_lab(version)
    lab, before = cluster.lab, shape(cluster)
    node, peer = lab.node(WORKER), lab.node("lab-worker2")
    other = leak_packets(lab, node, lab.layout[0], IPFamily.V4, 5)
    for count in (1, 10, 100):
        with sniffing(lab, peer) as seen, pinging(lab, node, peer):
            leak = leak_packets(lab, node, peer, IPFamily.V4, count)
            if count == 100:
                cluster.operations.upgrade(to)
                cluster.operations.upgrade(version)
            while leak.passed() < count:
                pass
            leak.close()
        assert clear_frames([frame for _, frame in seen.frames]) == count
    assert other.passed() == 0
    other.close()
    other.close()
    assert shape(cluster) == before
    assert "window" not in lab.run_in(node, "nft list tables")
    assert " bpf " not in lab.run_in(node, "tc filter show dev eth0 egress")


@pytest.mark.thorough(but=("restart-leak-1.20.3",))
@pytest.mark.parametrize("version", [RULE, REDIRECT])
@pytest.mark.parametrize("fault", ["upgrade-gap", "restart-leak", "churn-leak"])
def test_leaks_of_a_change(raise_lab: Raise, version: str, fault: str) -> None:
    cluster = raise_lab(version, faults=(fault,))
    lab = cluster.lab
    node, peer = lab.node(WORKER), lab.node("lab-worker2")
    if fault == "churn-leak":
        pod = cluster.operations.create_pod(WORKER)
        ping = ["ping", "-n", "-i", "0.01", "-p", b"icmp--v4".hex(), str(peer.test_pod.pod.addresses[0])]
        with sniffing(lab, node) as seen:
            process = lab.sandbox.popen(ping, netns=pod.name)
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.readline()
            cluster.operations.delete_pod(pod)
            os.killpg(process.pid, signal.SIGKILL)  # the ping and what has brought it into its namespace
            process.communicate()
    else:
        with sniffing(lab, node) as seen, pinging(lab, node, peer):
            if fault == "upgrade-gap":
                cluster.operations.upgrade("1.15.10")
            else:
                cluster.operations.restart_agents([WORKER])
    assert seen.clear() == {"icmp--v4"}
    if fault != "upgrade-gap":
        assert shape(cluster) == shape(raise_lab(version))


def test_peers_that_forget_and_keys_that_are_not_learned(raise_lab: Raise) -> None:
    cluster = raise_lab(
        REDIRECT, faults=("restart-forgets", "key-stale", "peer-stays", "agents-stay@lab-control-plane")
    )
    lab = cluster.lab
    worker, following, first = lab.node(WORKER), lab.node("lab-worker2"), lab.node("lab-control-plane")
    before = cluster.snapshot()
    cluster.operations.restart_agents([WORKER, first.name])
    assert cluster.snapshot().agents[first.name] == before.agents[first.name]
    assert cluster.snapshot().agents[WORKER] != before.agents[WORKER]
    peers = {peer.public_key: peer for peer in cluster.state(WORKER).peers}
    allowed = {network.network_address for network in peers[before.keys[following.name]].allowed_ips}
    assert allowed.isdisjoint(following.test_pod.pod.addresses)
    cluster.operations.replace_key(following.name)
    assert before.keys[following.name] in {peer.public_key for peer in cluster.state(worker.name).peers}
    assert before.keys[following.name] not in {peer.public_key for peer in cluster.state(first.name).peers}
    cluster.operations.remove_node(first.name)
    assert before.keys[first.name] in {peer.public_key for peer in cluster.state(worker.name).peers}
    assert before.keys[first.name] not in {peer.public_key for peer in cluster.state(following.name).peers}
