"""How Cilium is installed, by version."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from pytest_ciliumwg.expect import NEWEST_MINOR, OLDEST_MINOR, parse_version
from pytest_ciliumwg.expect.helm import (
    HelmRequest,
    chart_version,
    default_node_image_for,
    helm_values,
    kubernetes_for,
    kubernetes_of,
    oldest_kind,
    renamed,
    table,
)
from pytest_ciliumwg.model.cluster import IPFamily, RoutingMode

V4, V6 = IPFamily.V4, IPFamily.V6
BOTH = {V4: "10.244.0.0/16", V6: "fd00:10:244::/56"}
MINORS = [f"1.{minor}" for minor in range(parse_version(OLDEST_MINOR).minor, parse_version(NEWEST_MINOR).minor + 1)]
OLD = ["allowRemoteNodeIdentities", "cidr", "enabled"]
PARTS = sorted(table()["values"])


@pytest.mark.parametrize("name", PARTS)
def test_a_part_covers_all_versions_and_says_who_says_so(name: str) -> None:
    part = table()["values"][name]
    since = [parse_version(step["since"]) for step in part["steps"]]
    assert since[0] == parse_version(f"{OLDEST_MINOR}.0")
    assert all(earlier < later for earlier, later in itertools.pairwise(since))
    assert part["about"].endswith(".")
    assert len(part["source"]) > 20
    assert ("available" in part) == any(step.get("never") for step in part["steps"])


@pytest.mark.parametrize("version", MINORS)
def test_every_version_has_a_pinned_node_image_that_it_was_tested_with(version: str) -> None:
    image = default_node_image_for([version])
    assert kubernetes_of(image) in kubernetes_for(version)
    assert re.fullmatch(r"kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", image)


@pytest.mark.parametrize(("version", "routing"), [*itertools.product(MINORS, ("native", "vxlan", "geneve"))])
def test_every_version_has_values_for_every_routing(version: str, routing: RoutingMode) -> None:
    values = helm_values(HelmRequest(version=version, pod_cidrs=BOTH, routing_mode=routing))
    old = parse_version(version) < parse_version("1.14.0")
    assert values["encryption"] == {"enabled": True, "type": "wireguard"}
    assert (values.get("l7Proxy") is False) == old
    native = values.get("tunnel") == "disabled" or values.get("routingMode") == "native"
    assert native == (routing == "native")
    assert (values.get("tunnelProtocol") or values.get("tunnel")) == (
        routing if routing != "native" else ("disabled" if old else None)
    )
    assert ("nativeRoutingCIDR" in values) == (version == "1.10" and routing == "native")
    assert ("ipv4NativeRoutingCIDR" in values) == (version != "1.10" and routing == "native")


@pytest.mark.parametrize(
    ("version", "keys"), [("1.15", OLD), ("1.18.3", OLD), ("1.19", ["egress"]), ("1.20", ["egress"])]
)
def test_the_strict_mode_has_the_names_of_its_version(version: str, keys: list[str]) -> None:
    values = helm_values(HelmRequest(version=version, pod_cidrs=BOTH, strict_egress=True))
    assert sorted(values["encryption"]["strictMode"]) == keys


@pytest.mark.parametrize(
    ("version", "word"), [("1.10", "strict"), ("1.13", "strict"), ("1.14", "true"), ("1.20", "true")]
)
def test_without_kube_proxy_the_api_server_is_named(version: str, word: str) -> None:
    values = helm_values(HelmRequest(version=version, pod_cidrs=BOTH, api_server=("x-control-plane", 6443)))
    assert values["kubeProxyReplacement"] == word
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("x-control-plane", 6443)


@pytest.mark.parametrize(
    ("version", "how", "sentence"),
    [
        ("1.13", {"node_encryption": True}, "node encryption with WireGuard exists from Cilium 1.14"),
        ("1.10", {"userspace_fallback": True}, "the userspace fallback exists in Cilium 1.11 to 1.16 only"),
        ("1.17", {"userspace_fallback": True}, "the userspace fallback exists in Cilium 1.11 to 1.16 only"),
        ("1.14", {"strict_egress": True}, "the strict mode for what leaves exists from Cilium 1.15"),
        ("1.18", {"strict_ingress": True}, "the strict mode for what comes in exists from Cilium 1.19"),
        (
            "1.20",
            {"strict_egress": True, "pod_cidrs": {V6: "fd00::/56"}},
            "the strict mode for what leaves protects IPv4 alone",
        ),
        ("1.17", {"routing_mode": "vxlan", "pod_cidrs": {V6: "fd00::/56"}}, "a tunnel between nodes without IPv4"),
        ("1.9", {}, "Cilium 1.9 is out of the known range"),
    ],
)
def test_what_a_version_cannot_do_is_refused(version: str, how: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        helm_values(HelmRequest(**{"version": version, "pod_cidrs": BOTH, **how}))  # type: ignore[arg-type]


def test_chart_versions() -> None:
    assert chart_version("1.15") == "~1.15.0-0"
    assert chart_version("v1.15.0-pre.3") == "1.15.0-pre.3"


def test_node_images() -> None:
    assert kubernetes_of("registry.example:5000/kindest/node:v1.30.4@sha256:00") == "1.30"
    assert kubernetes_of("kindest/node:latest") is None
    assert kubernetes_of("registry.example:5000/node") is None
    assert oldest_kind("kindest/node:v1.37.1") == "0.33.0"


def test_renamed_values_are_new_ones_of_their_version() -> None:
    changes = renamed()
    assert [change.since for change in changes] == sorted((change.since for change in changes), key=parse_version)
    assert all(parse_version(change.since) < parse_version(change.removed) for change in changes)
    assert {change.new for change in changes if change.old == "tunnel"} == {"routingMode", "tunnelProtocol"}


def test_who_opts_out_of_node_encryption_is_what_was_declared() -> None:
    asked = HelmRequest(version="1.20", pod_cidrs=BOTH, node_encryption=True)
    assert "extraConfig" not in helm_values(asked)
    for labels, selector in (((), ""), (("a=b", "c"), "a=b,c")):
        values = helm_values(replace(asked, node_encryption_opt_out=labels))
        assert values["extraConfig"] == {"node-encryption-opt-out-labels": selector}


def test_the_strict_mode_has_two_directions() -> None:
    asked = HelmRequest(version="1.20", pod_cidrs=BOTH, strict_ingress=True)
    assert helm_values(asked)["encryption"]["strictMode"] == {"ingress": {"enabled": True}}
    both = helm_values(replace(asked, strict_egress=True))["encryption"]["strictMode"]
    assert (both["egress"]["enabled"], both["ingress"]["enabled"]) == (True, True)
