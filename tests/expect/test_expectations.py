from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pytest_ciliumwg.expect import (
    DEFAULT_VERSION,
    Expectations,
    ExpectedRule,
    MtuRange,
    contradictions,
    expectations_for,
    source,
)
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily, RoutingMode
from pytest_ciliumwg.model.traffic import Protocol

V4, V6 = IPFamily.V4, IPFamily.V6


INGRESS = "the strict mode for what comes in exists from Cilium 1.19 in tunnels, and from 1.20 in native routing"


def config(version: str, **changes: Any) -> CiliumConfig:
    plain = CiliumConfig(version=version, encryption=True, families=frozenset({V4}))
    return dataclasses.replace(plain, **changes)


def expect(version: str, **changes: Any) -> Expectations:
    return expectations_for(config(version, **changes))


@pytest.mark.parametrize(
    ("version", "steering", "fwmarks", "binary"),
    [
        ("1.10.0", "rule", None, "cilium"),
        ("1.13.0-rc3", "rule", None, "cilium"),
        ("1.13.3", "rule", None, "cilium"),
        ("1.13.4", "rule", {0}, "cilium"),
        ("1.13", "rule", {0}, "cilium"),
        ("1.14.0-rc.0", "redirect", {0x1E00}, "cilium"),
        ("1.14", "redirect", {0x1E00}, "cilium"),
        ("1.15.0-pre.3", "redirect", {0x1E00}, "cilium-dbg"),
        ("1.17.2", "redirect", {0x1E00}, "cilium-dbg"),
        ("1.18.0", "redirect", {0xE00}, "cilium-dbg"),
        ("1.20.3", "redirect", {0xE00}, "cilium-dbg"),
        ("1.21.0-pre.0", "redirect", {0xE00}, "cilium-dbg"),
    ],
)
def test_steering_mark_and_binary(version: str, steering: str, fwmarks: set[int] | None, binary: str) -> None:
    found = expect(version)
    assert (found.steering, found.fwmarks, found.agent_binary) == (steering, fwmarks, binary)
    by_rule = steering == "rule"
    assert found.rule == (ExpectedRule(priority=1, fwmark=0xE00, fwmask=0xF00, table="201") if by_rule else None)
    assert found.redirect_program == (None if by_rule else "cil_to_netdev")
    assert found.l7_proxy_allowed is not by_rule


@pytest.mark.parametrize(
    ("version", "device", "native", "tunnel"),
    [
        ("1.10.0", (1420, 1420), (1420, 1420), (1420, 1420)),
        ("1.14.6", (1420, 1420), (1420, 1420), (1420, 1420)),
        ("1.14.7", (1420, 1420), (1420, 1420), (1370, 1370)),
        ("1.15.0-pre.3", (1420, 1420), (1420, 1420), (1370, 1420)),
        ("1.15.1", (1420, 1420), (1420, 1420), (1370, 1370)),
        ("1.17.18", (1420, 1420), (1420, 1420), (1370, 1370)),
        ("1.17", (1405, 1420), (1405, 1420), (1355, 1370)),
        ("1.18.3", (1420, 1420), (1420, 1420), (1350, 1370)),
        ("1.18", (1405, 1420), (1405, 1420), (1335, 1370)),
        ("1.19.4", (1420, 1420), (1420, 1420), (1350, 1370)),
        ("1.19.5", (1405, 1405), (1405, 1405), (1335, 1355)),
        ("1.20.3", (1405, 1405), (1405, 1405), (1335, 1355)),
    ],
)
def test_mtus(version: str, device: tuple[int, int], native: tuple[int, int], tunnel: tuple[int, int]) -> None:
    assert expect(version).device_mtus(1500) == MtuRange(*device)
    assert expect(version).pod_route_mtus(1500) == MtuRange(*native)
    assert expect(version, routing_mode="vxlan").pod_route_mtus(1500) == MtuRange(*tunnel)
    assert expect(version, routing_mode="geneve").device_mtus(1500) == MtuRange(*device)


def test_with_ipv6_a_small_mtu_may_be_lifted_to_1280() -> None:
    small = expect("1.20.3", families=frozenset({V4, V6})).device_mtus(1350)
    assert [mtu for mtu in range(1200, 1300) if mtu in small] == [1255, 1280]
    assert str(small) == "1255, or 1280"
    assert 1280 not in expect("1.20.3").device_mtus(1350)
    assert 1280 not in expect("1.20.3", families=frozenset({V6})).device_mtus(1500)


def test_an_mtu_range_prints_for_people_and_holds_numbers_only() -> None:
    assert str(MtuRange(1405, 1420)) == "1405 to 1420"
    assert "1410" not in MtuRange(1405, 1420)


@pytest.mark.parametrize(
    ("version", "mode", "plain", "encrypted", "opted_out"),
    [
        ("1.10.0", "native", "forbidden", "forbidden", "forbidden"),
        ("1.13", "vxlan", "forbidden", "forbidden", "forbidden"),
        ("1.14.0", "native", "forbidden", "required", "optional"),
        ("1.14.3", "vxlan", "forbidden", "required", "optional"),
        ("1.14.7", "native", "forbidden", "required", "optional"),
        ("1.14.7", "vxlan", "optional", "required", "optional"),
        ("1.14.8", "native", "required", "required", "required"),
        ("1.15.1", "native", "forbidden", "required", "optional"),
        ("1.15.1", "geneve", "required", "required", "required"),
        ("1.15.2", "native", "required", "required", "required"),
        ("1.20.3", "native", "required", "required", "required"),
    ],
)
def test_node_addresses(version: str, mode: RoutingMode, plain: str, encrypted: str, opted_out: str) -> None:
    assert expect(version, routing_mode=mode).node_addresses() == plain
    assert expect(version, routing_mode=mode).node_addresses(opted_out=True) == plain
    with_nodes = expect(version, routing_mode=mode, node_encryption=True)
    assert with_nodes.node_addresses() == encrypted
    assert with_nodes.node_addresses(opted_out=True) == opted_out


@pytest.mark.parametrize(
    ("version", "mode", "pods"),
    [("1.10.0", "vxlan", True), ("1.17", "vxlan", True), ("1.18.0", "vxlan", False), ("1.20.3", "native", True)],
)
def test_pods_in_allowed_ips(version: str, mode: RoutingMode, pods: bool) -> None:
    assert expect(version, routing_mode=mode).pods_in_allowed_ips is pods


@pytest.mark.parametrize(
    ("version", "mode", "v4", "v6"),
    [
        ("1.10.0", "native", True, False),
        ("1.14.5", "vxlan", False, False),
        ("1.15.0", "vxlan", False, False),
        ("1.15.1", "vxlan", True, False),
        ("1.19.4", "native", True, False),
        ("1.19.5", "native", True, True),
        ("1.20.0", "geneve", True, True),
    ],
)
def test_unfragmented(version: str, mode: RoutingMode, v4: bool, v6: bool) -> None:
    found = expect(version, routing_mode=mode)
    assert (found.unfragmented(V4), found.unfragmented(V6)) == (v4, v6)


HOSTS = {"pod-to-node", "node-to-pod", "node-to-node"}
CORE_PATHS = {"pod-to-pod", *HOSTS}
BALANCED = {"pod-to-health", "pod-to-nodeport", "north-south"}


@pytest.mark.parametrize(
    ("version", "changes", "hosts"),
    [
        ("1.13", {}, set()),
        ("1.14.0", {"node_encryption": True}, HOSTS),
        ("1.14.0", {"routing_mode": "vxlan"}, set()),
        ("1.15.0", {"routing_mode": "vxlan"}, set()),
        ("1.20.3", {}, set()),
    ],
)
def test_which_paths_are_promised(version: str, changes: dict[str, Any], hosts: set[str]) -> None:
    assert set(expect(version, **changes).encrypted_paths) & CORE_PATHS == {"pod-to-pod", *hosts}


@pytest.mark.parametrize(
    ("version", "changes", "paths"),
    [
        ("1.13", {"kube_proxy_replacement": True}, set()),
        ("1.14.0", {}, {"pod-to-health"}),
        ("1.14.0", {"kube_proxy_replacement": True}, {"pod-to-health", "pod-to-nodeport"}),
        ("1.18.0", {"kube_proxy_replacement": True, "load_balancing": {"hosts-only"}}, {"pod-to-health"}),
        ("1.14.0", {"kube_proxy_replacement": True, "routing_mode": "vxlan"}, {"pod-to-health", "pod-to-nodeport"}),
        ("1.15.0", {"kube_proxy_replacement": True, "routing_mode": "vxlan"}, BALANCED),
        ("1.18.0", {"kube_proxy_replacement": True, "routing_mode": "vxlan", "load_balancing": {"dsr"}},
         BALANCED - {"north-south"}),
        ("1.18.0", {"node_encryption": True}, BALANCED | {"pod-to-hostport"}),
        ("1.18.0", {"node_encryption": True, "load_balancing": {"xdp"}},
         BALANCED - {"north-south"} | {"pod-to-hostport"}),
    ],
)  # fmt: skip
def test_which_paths_of_the_profile_extended_are_promised(
    version: str, changes: dict[str, Any], paths: set[str]
) -> None:
    assert set(expect(version, **changes).encrypted_paths) - CORE_PATHS == {"pod-to-dns", *paths}


def test_a_declared_userspace_fallback_allows_both_kinds_of_device() -> None:
    assert expect("1.15.2").device_kinds == {"wireguard"}
    assert expect("1.15.2", userspace_fallback=True).device_kinds == {"wireguard", "tun"}
    assert expect("1.17.0", userspace_fallback=True).device_kinds == {"wireguard", "tun"}


def test_restart_loss() -> None:
    assert expect("1.16.1").restart_loss
    assert not expect("1.16.2").restart_loss


@pytest.mark.parametrize(
    ("version", "changes", "sentence"),
    [
        ("1.13.17", {"node_encryption": True}, "node encryption with WireGuard exists from Cilium 1.14"),
        ("1.10.4", {"userspace_fallback": True}, "the userspace fallback exists in Cilium 1.11 to 1.16 only"),
        ("1.17.0", {"userspace_fallback": True}, "the userspace fallback exists in Cilium 1.11 to 1.16 only"),
        ("1.13", {"families": frozenset({V6})}, "encryption on IPv6 alone exists from Cilium 1.14"),
        ("1.14", {"strict_egress": True}, "the strict mode for what leaves exists from Cilium 1.15"),
        ("1.18", {"strict_ingress": True, "routing_mode": "vxlan"}, INGRESS),
        ("1.19", {"strict_ingress": True}, INGRESS),
    ],
)
def test_contradictions(version: str, changes: dict[str, Any], sentence: str) -> None:
    assert contradictions(config(version, **changes)) == (f"{sentence}, but it is declared for Cilium {version}",)


def test_no_family_is_a_contradiction() -> None:
    assert contradictions(config("1.20.3", families=frozenset())) == (
        "no IP family is declared, so no traffic could be tested",
    )


@pytest.mark.parametrize(
    ("version", "changes"),
    [
        ("1.10", {}),
        ("1.11", {"userspace_fallback": True}),
        ("1.14", {"node_encryption": True, "families": frozenset({V6})}),
        (
            DEFAULT_VERSION,
            {"node_encryption": True, "strict_egress": True, "strict_ingress": True, "families": frozenset({V4, V6})},
        ),
    ],
)
def test_what_a_version_can_have_is_no_contradiction(version: str, changes: dict[str, Any]) -> None:
    assert contradictions(config(version, **changes)) == ()


def test_an_unknown_version_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"Cilium 1\.9 is out of the known range"):
        expectations_for(config("1.9"))


@pytest.mark.parametrize(
    "attribute",
    ["device_name", "listen_port", "steering", "rule", "fwmarks", "device_mtus", "node_addresses", "unfragmented"],
)
def test_an_expectation_has_a_source_by_its_own_name(attribute: str) -> None:
    assert hasattr(expect("1.20.3"), attribute)
    assert source(attribute)


@pytest.mark.parametrize(
    ("declared", "labels", "may"),
    [
        (None, {"node-role.kubernetes.io/control-plane": ""}, True),
        (None, {"kubernetes.io/os": "linux"}, False),
        ((), {"node-role.kubernetes.io/control-plane": ""}, False),
        (("role=edge",), {"role": "edge"}, True),
        (("role=edge",), {"role": "core"}, False),
        (("role=edge", "zone"), {"role": "edge"}, False),
        (("role=edge", "zone"), {"role": "edge", "zone": "a"}, True),
    ],
)
def test_who_may_opt_out_of_node_encryption(
    declared: tuple[str, ...] | None, labels: dict[str, str], may: bool
) -> None:
    how = {} if declared is None else {"node_encryption_opt_out": declared}
    assert expect("1.20", node_encryption=True, **how).may_opt_out(labels) is may


def test_with_node_encryption_outer_packets_may_be_fragments() -> None:
    assert expect("1.20").unfragmented(V4)
    assert not expect("1.20", node_encryption=True).unfragmented(V4)


@pytest.mark.parametrize(
    ("version", "family", "protocol", "last", "dropped"),
    [
        ("1.17.10", V4, Protocol.ICMP, 7, True),
        ("1.17.10", V4, Protocol.ICMP, 8, False),
        ("1.17.10", V4, Protocol.UDP, 1, False),
        ("1.13.12", V6, Protocol.UDP, 800, True),
        ("1.15.1", V6, Protocol.ICMP, 800, True),
        ("1.15.1", V6, Protocol.ICMP, 0, False),
        ("1.18.4", V4, Protocol.ICMP, 800, True),
        ("1.18.4", V6, Protocol.ICMP, 800, True),
        ("1.18.4", V6, Protocol.UDP, 1, False),
        ("1.21", V4, Protocol.UDP, 1, False),
    ],
)
def test_which_fragments_are_dropped(
    version: str, family: IPFamily, protocol: Protocol, last: int, dropped: bool
) -> None:
    assert expect(version).drops_fragments(family, protocol, last) is dropped
