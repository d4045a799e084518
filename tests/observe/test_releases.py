"""What real releases show, 1.17.10 to development versions of 1.21: every output is read, and is what is expected."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address

import pytest

from pytest_ciliumwg.checks.mtus import mtu_base
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, Node, Pod
from pytest_ciliumwg.model.node_state import Link, NodeState
from pytest_ciliumwg.observe import cilium, tc
from pytest_ciliumwg.observe.cilium_config import config_from_configmap
from pytest_ciliumwg.observe.debuginfo import selected_from_debuginfo, settings_from_debuginfo
from pytest_ciliumwg.observe.iproute import ALL_TABLES, links_from_ip, routes_from_ip, rules_from_ip
from pytest_ciliumwg.observe.kubernetes import nodes_from_ciliumnodes, pods_from_ciliumendpoints
from pytest_ciliumwg.observe.wireguard import fwmark_from_wg

from . import recordings

V4, V6 = IPFamily.V4, IPFamily.V6
VERSIONS = ("v1.17.10", "v1.18.4", "v1.20.0-dev", "v1.21.0-dev")
STATES = [f"{version}/{path.name}" for version in VERSIONS for path in sorted((recordings.ROOT / version).iterdir())]
ON = [state for state in STATES if not state.endswith("/off")]
MTUS = {"v1.17.10": (1420, 1370), "v1.18.4": (1420, 1370), "v1.20.0-dev": (1405, 1355), "v1.21.0-dev": (1405, 1355)}
"""Version → the MTU of the device, and of routes in native routing; that of routes in a tunnel."""


def config_of(state: str) -> CiliumConfig:
    version = cilium.version_from_agent(recordings.agent(state, "version.json"))
    settings = settings_from_debuginfo(recordings.agent(state, "debuginfo.json"))
    return config_from_configmap({**recordings.config_data(state), **settings}, version)


def nodes_of(state: str) -> tuple[Node, ...]:
    return nodes_from_ciliumnodes(recordings.objects(state, "ciliumnodes.json"))


def links_of(state: str) -> tuple[Link, ...]:
    return links_from_ip(recordings.node(state, "ip-link.json"))


def tunnelled(state: str) -> bool:
    return "vxlan" in state


@pytest.mark.parametrize("state", STATES)
def test_the_agent_runs_with_what_the_configmap_says(state: str) -> None:
    config = config_of(state)
    assert config == config_from_configmap(recordings.config_data(state), config.version)
    assert config.version.startswith(state[1:].split("/")[0].removesuffix("-dev"))
    assert config.encryption == (state in ON)
    assert config.routing_mode == ("vxlan" if tunnelled(state) else "native")
    assert config.node_encryption == state.endswith("/nodeenc")
    assert config.families == ({V4, V6} if state.endswith("/dual") else {V4})
    assert config.strict_egress == state.endswith(("/strict", "/vxlanstrict"))
    assert config.strict_ingress == state.endswith(("/strictin", "/vxlanstrict"))
    assert config.kube_proxy_replacement == state.endswith("/kpr")
    assert (config.mtu, config.route_mtu, config.cluster_id) == (0, 0, 0)


@pytest.mark.parametrize("state", STATES)
def test_what_the_agent_tells_of_itself(state: str) -> None:
    assert cilium.version_from_agent(recordings.agent(state, "version.txt"))
    status = cilium.encryption_from_status_json(recordings.agent(state, "status.json"))
    told = [
        cilium.encryption_from_encrypt_status(recordings.agent(state, f"encrypt-status.{kind}"))
        for kind in ("json", "txt")
    ]
    assert {status.mode, *(each.mode for each in told)} == {"wireguard" if state in ON else "disabled"}
    assert {status.peers, *(each.peers for each in told)} == {2 if state in ON else None}
    assert selected_from_debuginfo(recordings.agent(state, "debuginfo.json")) == ("eth0",)
    known = cilium.known_nodes_from_agent(recordings.agent(state, "node-list.json"))
    assert set(known.values()) == {node.name for node in nodes_of(state)}
    assert {known[node.addresses[0]] for node in nodes_of(state)} == {node.name for node in nodes_of(state)}


@pytest.mark.parametrize("state", STATES)
def test_the_datapath_encrypts_to_other_nodes_pods(state: str) -> None:
    entries = cilium.ipcache_from_agent(recordings.agent(state, "ipcache.json"))
    remote = {pod.addresses[0] for pod in pods(state) if pod.node != recordings.NODE}
    keys = {entry.encrypt_key for entry in entries if entry.prefix.network_address in remote}
    assert keys == ({255} if state in ON else {0})


def pods(state: str) -> list[Pod]:
    return list(pods_from_ciliumendpoints(recordings.objects(state, "ciliumendpoints.json"), nodes_of(state)))


@pytest.mark.parametrize("state", ON)
def test_the_device(state: str) -> None:
    expected = expectations_for(config_of(state))
    (device,) = (link for link in links_of(state) if link.name == expected.device_name)
    assert (device.mtu, device.kind) == (MTUS[state.split("/")[0]][0], "tun")
    mark = re.search(r"fwmark: (\S+)", recordings.agent(state, "wg-show.txt"))
    assert mark
    assert fwmark_from_wg(mark[1]) == (0x1E00 if state.startswith("v1.17") else 0xE00)
    assert expected.fwmarks == frozenset({fwmark_from_wg(mark[1])})


@pytest.mark.parametrize("state", ON)
def test_mtus_are_made_from_the_selected_device(state: str) -> None:
    config = config_of(state)
    expected, device = expectations_for(config), MTUS[state.split("/")[0]]
    node = next(node for node in nodes_of(state) if node.name == recordings.NODE)
    base = mtu_base(state_of(state), node, config, expected)
    assert base.mtu == 1500
    assert device[0] in expected.device_mtus(1500)
    assert device[1 if tunnelled(state) else 0] in expected.pod_route_mtus(1500)
    last = recordings.agent(state, "statedb-mtu.txt").split()[-4:]
    assert last[:3] == ["0.0.0.0/0", "1500", str(device[1 if tunnelled(state) else 0])]


def state_of(state: str) -> NodeState:
    return NodeState(
        node=recordings.NODE,
        observed_at=0.0,
        link=None,
        wireguard=None,
        peers=(),
        rules=(),
        routes=(),
        redirects=(),
        native_devices=(),
        rp_filter=0,
        devices=links_of(state),
        selected=selected_from_debuginfo(recordings.agent(state, "debuginfo.json")),
    )


@pytest.mark.parametrize("state", ON)
def test_allowed_ips_are_those_that_are_expected(state: str) -> None:
    expected, nodes = expectations_for(config_of(state)), nodes_of(state)
    found = cilium.wireguard_from_debuginfo(recordings.agent(state, "debuginfo.json"))
    assert found
    device, peers = found
    assert device.public_key == next(node.public_key for node in nodes if node.name == recordings.NODE)
    others = {node.public_key: node for node in nodes if node.name != recordings.NODE}
    assert {peer.public_key for peer in peers} == others.keys()
    for peer in peers:
        node = others[peer.public_key]
        own = {*node.cilium_addresses, *(ip for pod in pods(state) if pod.node == node.name for ip in pod.addresses)}
        single = {net.network_address for net in peer.allowed_ips if net.num_addresses == 1}
        assert set(node.taken_addresses(expected.config.families)) <= single
        assert expected.node_addresses() == "required"
        assert expected.pods_in_allowed_ips == (own <= single)
        assert single <= {*own, *node.addresses}
        whole = {net for net in peer.allowed_ips if net.num_addresses > 1}
        assert whole == (set(node.pod_cidrs) if expected.pod_cidrs_in_allowed_ips else set())


@pytest.mark.parametrize("state", STATES)
def test_no_rule_leads_to_table_201(state: str) -> None:
    rules = [
        *rules_from_ip(recordings.node(state, "ip-rule.json"), V4),
        *rules_from_ip(recordings.node(state, "ip-6-rule.json"), V6),
    ]
    assert "201" not in {rule.table for rule in rules}
    status, stderr = recordings.failure(state, "ip-route-201.json")
    shown = recordings.node(state, "ip-route-201.json")
    assert routes_from_ip(shown, V4, "201", status=status, stderr=stderr) == ()
    # It was recorded without a family, so that it has both.
    both = json.loads(recordings.node(state, "ip-route-all.json"))
    four = json.dumps([route for route in both if ":" not in route["dst"]])
    routes = routes_from_ip(four, V4, ALL_TABLES)
    assert any(ip_address("172.18.0.2") in route.destination for route in routes if route.table == "main")
    assert routes_from_ip(recordings.node(state, "ip-6-route-all.json"), V6, ALL_TABLES)
    assert links_from_ip(recordings.node(state, "ip-addr.json"))


@pytest.mark.parametrize("state", STATES)
def test_the_egress_program_is_there_with_encryption_alone(state: str) -> None:
    shown = tc.redirects_from_bpftool(recordings.node(state, "bpftool-net.json"))
    assert [(redirect.device, redirect.direction) for redirect in shown] == (
        [("eth0", "egress")] if state in ON else []
    )
    by_tc = tc.redirects_from_tc(recordings.node(state, "tc-egress.json"), "eth0", "egress")
    assert bool(by_tc) == state.endswith("/notcx"), "tc shows nothing of what is attached by tcx"
    kinds = {entry["kind"] for entry in json.loads(recordings.node(state, "bpftool-net.json"))[0]["tc"]}
    assert any(kind.startswith("clsact" if state.endswith("/notcx") else "tcx") for kind in kinds)
