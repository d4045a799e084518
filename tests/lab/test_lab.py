"""A healthy lab: it stands, carries encrypted traffic, and shows what the imitated version would."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest

from pytest_ciliumwg.errors import AgentError, ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.base import Cluster
from tests.lab.conftest import Raise
from tests.lab.tools import ICMP, sniffing, talk
from tests.patience import PATIENCE


@pytest.mark.parametrize("version", ["1.13", "1.18"])
def test_it_lets_nothing_out_in_clear(raise_lab: Raise, version: str) -> None:
    lab = raise_lab(version).lab
    node, peer = lab.layout[0], lab.layout[2]
    with sniffing(lab, node) as seen:
        assert talk(lab, node, peer) == ICMP
    assert not seen.clear()
    assert len(seen.tunnel()) >= 6


@pytest.mark.thorough(but=("1.13.17", "1.20"))
@pytest.mark.parametrize("version", ["1.10", "1.13.17", "1.14.0", "1.17", "1.20"])
def test_its_state_is_what_the_version_is_expected_to_show(raise_lab: Raise, version: str) -> None:
    cluster = raise_lab(version)
    lab, expected = cluster.lab, cluster.lab.expected
    state = cluster.state("lab-worker")
    assert not state.unread
    assert state.link is not None
    assert {"UP", "NOARP"} <= state.link.flags
    assert not state.link.addresses
    assert state.link.mtu in expected.device_mtus(1500)
    assert state.rp_filter == 0
    assert state.wireguard is not None
    assert state.wireguard.listen_port == expected.listen_port
    assert state.wireguard.fwmark in (expected.fwmarks or {0})
    nodes = {node.public_key: node for node in cluster.nodes()}
    assert state.wireguard.public_key == lab.keys["lab-worker"]
    assert {peer.public_key for peer in state.peers} == set(nodes) - {state.wireguard.public_key}
    for peer in state.peers:
        node = nodes[peer.public_key]
        assert peer.endpoint is not None
        assert peer.endpoint.address in node.addresses
        own = {ip_network(ip) for ip in node.addresses}
        assert own.isdisjoint(peer.allowed_ips) == (expected.node_addresses() != "required")
        pods = {ip_network(ip) for pod in cluster.pods() if pod.node == node.name for ip in pod.addresses}
        assert pods <= peer.allowed_ips
    rules = [rule for rule in state.rules if rule.table == "201"]
    redirected = [redirect.families for redirect in state.redirects if redirect.program == "cilium_wg0"]
    if expected.steering == "rule":
        assert {(rule.family, rule.priority, rule.fwmark, rule.fwmask) for rule in rules} == {
            (family, 1, 0xE00, 0xF00) for family in IPFamily
        }
        assert len([route for route in state.routes if route.table == "201"]) == 2
        assert not redirected
    else:
        assert not rules
        assert redirected == [frozenset(IPFamily)]


def test_it_is_a_cluster(raise_lab: Raise) -> None:
    cluster: Cluster = raise_lab(nodes=2)
    assert "NOT CILIUM" in "\n".join(cluster.description)
    assert cluster.declared.encryption
    assert cluster.actual_config() == cluster.declared
    assert [pod.node for pod in cluster.test_pods()] == [node.name for node in cluster.nodes()]
    assert len(cluster.pods()) == 4
    hello = b'{"op": "hello"}\n'
    for port in [cluster.node_agent("lab-worker"), cluster.pod_agent(cluster.test_pods()[0])]:
        assert json.loads(port.exchange(hello, timeout=PATIENCE))["ok"]
    with pytest.raises(ProviderError, match=r"no node 'nobody', only lab-control-plane"):
        cluster.node_agent("nobody")


def test_an_agent_that_is_gone_is_one_sentence(raise_lab: Raise) -> None:
    cluster = raise_lab(nodes=2)
    port = cluster.node_agent("lab-worker")
    cluster.close()
    with pytest.raises(AgentError, match="agent on lab-worker cannot be reached"):
        port.exchange(b"{}\n", timeout=1)


@pytest.mark.parametrize(("family", "version"), [(IPFamily.V4, "1.13"), (IPFamily.V4, "1.18"), (IPFamily.V6, "1.18")])
def test_one_family_alone(raise_lab: Raise, family: IPFamily, version: str) -> None:
    cluster = raise_lab(version, nodes=2, families=frozenset({family}))
    lab = cluster.lab
    node, peer = lab.layout
    with sniffing(lab, node) as seen:
        assert talk(lab, node, peer) == {f"icmp--{family.value}"}
    assert not seen.clear()
    state = cluster.state(node.name)
    assert not state.unread
    assert {rule.family for rule in state.rules} == {family}
    assert {IPFamily.of(address) for address in cluster.nodes()[0].addresses} == {family}


def test_two_native_devices(raise_lab: Raise) -> None:
    cluster = raise_lab(nodes=2, devices=("eth0", "eth1"))
    state = cluster.state("lab-worker")
    assert [link.name for link in state.native_devices] == ["eth0", "eth1"]
    assert {redirect.device for redirect in state.redirects} == {"eth0", "eth1"}


def test_eight_nodes_reach_each_other(raise_lab: Raise) -> None:
    lab = raise_lab(nodes=8).lab
    assert talk(lab, lab.layout[7], lab.layout[3]) == ICMP
    assert talk(lab, lab.layout[0], lab.layout[7]) == ICMP


def test_a_large_packet_fits_the_mtu_and_is_not_fragmented_outside(raise_lab: Raise) -> None:
    lab = raise_lab("1.18").lab
    node, peer = lab.layout[:2]
    address = peer.test_pod.pod.addresses[0]
    with sniffing(lab, node) as seen:
        lab.run_in_pod(node, f"ping -c 1 -W 1 -M do -s 1392 {address}")
    assert max(len(frame) for _, frame in seen.frames) <= 1514


def test_two_labs_side_by_side(raise_lab: Raise) -> None:
    one, other = raise_lab("1.13", nodes=2), raise_lab("1.18", nodes=2)
    assert one.lab.keys.keys() == other.lab.keys.keys()
    assert set(one.lab.keys.values()).isdisjoint(other.lab.keys.values())
    one.close()
    assert talk(other.lab, *other.lab.layout) == ICMP


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"nodes": 1}, "2 to 100 nodes, not 1"),
        ({"nodes": 101}, "2 to 100 nodes, not 101"),
        ({"devices": ("wlan0",)}, "eth0, or eth0 and eth1, not wlan0"),
        ({"families": frozenset()}, "at least one IP family"),
        ({"mtu": 99}, "1500 to 9000, not 99"),
        ({"version": "0.9"}, "0.9"),
        ({"version": "1.13", "families": frozenset({IPFamily.V6})}, "1.13"),
    ],
)
def test_what_no_lab_can_be_is_refused(raise_lab: Raise, spec: dict[str, object], sentence: str) -> None:
    with pytest.raises(ProviderError, match=sentence):
        raise_lab(**spec)


def test_an_agent_that_does_not_start_says_why(raise_lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ciliumwg.providers.lab.agents.bundle", lambda: b"no archive")
    with pytest.raises(ProviderError, match=r"4 of 4 agents of the lab did not start: .*ciliumwg_agent"):
        raise_lab(nodes=2)


def test_an_agent_that_does_not_answer_in_time(raise_lab: Raise) -> None:
    cluster = raise_lab(nodes=2)
    cluster.lab.run_in(cluster.lab.node("lab-worker"), "kill -STOP $(cat /run/ciliumwg/lab-worker/agent.pid)")
    with pytest.raises(AgentError, match=r"agent on lab-worker did not answer within 0\.1 s"):
        cluster.node_agent("lab-worker").exchange(b'{"op": "hello"}\n', timeout=0.1)


def test_what_cannot_be_read_is_unknown_and_not_empty(raise_lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = raise_lab(nodes=2)
    monkeypatch.setattr("pytest_ciliumwg.providers.lab.node_observer.WG_SHOW_SCRIPT", "echo '== public-key'; exit 1")
    monkeypatch.setattr("pytest_ciliumwg.observe.node_observer.TABLES", ("main", "no-such-table"))
    state = cluster.state("lab-worker")
    assert state.link is not None
    assert state.wireguard is None
    assert state.unread.keys() == {"wireguard", "peers", "routes"}
