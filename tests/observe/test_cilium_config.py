from __future__ import annotations

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily
from pytest_ciliumwg.observe.cilium_config import config_from_configmap

from . import recordings

V4, V6 = IPFamily.V4, IPFamily.V6


@pytest.mark.parametrize("state", recordings.STATES)
def test_the_configuration_of_every_recording(state: str) -> None:
    found = config_from_configmap(recordings.config_data(state), "1.15.0")
    on = state in recordings.ON
    assert found == CiliumConfig(
        version="1.15.0",
        encryption=on,
        families=frozenset({V4, V6} if state.endswith("dual") else {V4}),
        routing_mode="vxlan" if state.endswith("vxlan") else "native",
        node_encryption=state.endswith("node-encryption"),
        userspace_fallback=on,
    )


def config(**entries: str) -> CiliumConfig:
    data = {"enable-ipv4": "true", "enable-ipv6": "false"}
    return config_from_configmap(data | {key.replace("_", "-"): value for key, value in entries.items()}, "1.20.3")


@pytest.mark.parametrize(
    ("entries", "mode"),
    [
        ({}, "vxlan"),
        ({"tunnel": "disabled"}, "native"),
        ({"tunnel": "vxlan"}, "vxlan"),
        ({"tunnel": "geneve"}, "geneve"),
        ({"routing_mode": "native"}, "native"),
        ({"routing_mode": "native", "tunnel_protocol": "geneve"}, "native"),
        ({"routing_mode": "tunnel"}, "vxlan"),
        ({"routing_mode": "tunnel", "tunnel_protocol": "geneve"}, "geneve"),
        ({"routing_mode": "tunnel", "tunnel": "disabled"}, "vxlan"),
    ],
)
def test_routing_in_old_and_new_names(entries: dict[str, str], mode: str) -> None:
    assert config(**entries).routing_mode == mode


@pytest.mark.parametrize(
    ("spelling", "replaces"),
    [("strict", True), ("probe", True), ("true", True), ("partial", False), ("disabled", False), ("false", False)],
)
def test_kube_proxy_replacement_in_old_and_new_spellings(spelling: str, replaces: bool) -> None:
    assert config(kube_proxy_replacement=spelling).kube_proxy_replacement is replaces


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ({}, set()),
        ({"bpf_lb_mode": "snat", "bpf_lb_acceleration": "disabled", "bpf_lb_sock_hostns_only": "false"}, set()),
        ({"bpf_lb_mode": "dsr", "bpf_lb_acceleration": "native"}, {"dsr", "xdp"}),
        ({"bpf_lb_mode": "hybrid", "bpf_lb_acceleration": "best-effort"}, {"dsr", "xdp"}),
        ({"bpf_lb_sock_hostns_only": "true"}, {"hosts-only"}),
    ],
)
def test_what_is_special_of_load_balancing(entries: dict[str, str], found: set[str]) -> None:
    assert config(**entries).load_balancing == found


def test_who_may_opt_out_of_node_encryption() -> None:
    assert config().node_encryption_opt_out == ("node-role.kubernetes.io/control-plane",)
    assert config(node_encryption_opt_out_labels="").node_encryption_opt_out == ()
    assert config(node_encryption_opt_out_labels="a=b, c").node_encryption_opt_out == ("a=b", "c")


@pytest.mark.parametrize(
    ("entries", "egress", "ingress"),
    [
        ({}, False, False),
        ({"enable_encryption_strict_mode": "true"}, True, False),
        ({"enable_encryption_strict_mode_egress": "true"}, True, False),
        ({"enable_encryption_strict_mode_ingress": "true"}, False, True),
        (
            {"enable_encryption_strict_mode_egress": "false", "enable_encryption_strict_mode_ingress": "true"},
            False,
            True,
        ),
    ],
)
def test_strict_mode_in_old_and_new_names(entries: dict[str, str], egress: bool, ingress: bool) -> None:
    assert (config(**entries).strict_egress, config(**entries).strict_ingress) == (egress, ingress)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"enable_wireguard": "maybe"}, "has 'maybe' for enable-wireguard"),
        ({"routing_mode": "wireless"}, "routing mode 'wireless'"),
        ({"tunnel": "ipip"}, "with 'ipip'"),
        ({"kube_proxy_replacement": "half"}, "'half' for kube-proxy-replacement"),
    ],
)
def test_entries_that_are_not_understood(entries: dict[str, str], problem: str) -> None:
    with pytest.raises(ObservationError, match=problem):
        config(**entries)


def test_another_config_map_is_refused() -> None:
    with pytest.raises(ObservationError, match="has no enable-ipv4"):
        config_from_configmap({"Corefile": ".:53 {}"}, "1.20.3")


def test_an_entry_that_is_no_text_is_refused() -> None:
    data = {"enable-ipv4": "true", "enable-ipv6": "false", "encrypt-node": True}
    with pytest.raises(ObservationError, match="something for encrypt-node that is no text"):
        config_from_configmap(data, "1.20.3")  # type: ignore[arg-type]
