"""Helm values go through the versions, up and back, and mean the same; what cannot be said is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pytest_ciliumwg.expect.helm import HelmRequest, helm_values
from pytest_ciliumwg.expect.translation import translated
from pytest_ciliumwg.model.cluster import IPFamily, RoutingMode

MINORS = [f"1.{minor}" for minor in range(10, 21)]
V4 = {IPFamily.V4: "10.244.0.0/16"}


def nested(**flat: Any) -> dict[str, Any]:
    """`a__b=1` to `{"a": {"b": 1}}`."""
    made: dict[str, Any] = {}
    for path, value in flat.items():
        *above, last = path.split("__")
        inner = made
        for name in above:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return made


CASES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({}, "1.20", {}),
    (nested(debug__enabled=True), "1.10", nested(debug__enabled=True)),
    (nested(nativeRoutingCIDR="10.0.0.0/8"), "1.10", nested(nativeRoutingCIDR="10.0.0.0/8")),
    (nested(nativeRoutingCIDR="10.0.0.0/8"), "1.11", nested(ipv4NativeRoutingCIDR="10.0.0.0/8")),
    (nested(ipv4NativeRoutingCIDR="10.0.0.0/8"), "1.10.20", nested(nativeRoutingCIDR="10.0.0.0/8")),
    (nested(tunnel="disabled"), "1.13", nested(tunnel="disabled")),
    (nested(tunnel="disabled"), "1.14", nested(routingMode="native")),
    (nested(tunnel="vxlan"), "1.15", nested(routingMode="tunnel", tunnelProtocol="vxlan")),
    (nested(tunnel="geneve"), "1.20", nested(routingMode="tunnel", tunnelProtocol="geneve")),
    (nested(tunnel="", routingMode="native"), "1.15", nested(tunnel="", routingMode="native")),
    (nested(routingMode="native"), "1.13", nested(tunnel="disabled")),
    (nested(routingMode="native", tunnelProtocol="vxlan"), "1.13", nested(tunnel="disabled")),
    (nested(routingMode="tunnel"), "1.13", nested(tunnel="vxlan")),
    (nested(tunnelProtocol="geneve"), "1.13", nested(tunnel="geneve")),
    (nested(routingMode="tunnel", tunnelProtocol="geneve"), "1.12", nested(tunnel="geneve")),
    (nested(kubeProxyReplacement="strict"), "1.13", nested(kubeProxyReplacement="strict")),
    (nested(kubeProxyReplacement="strict"), "1.14", nested(kubeProxyReplacement="true")),
    (nested(kubeProxyReplacement="partial"), "1.16", nested(kubeProxyReplacement="false")),
    (nested(kubeProxyReplacement="disabled"), "1.16", nested(kubeProxyReplacement="false")),
    (nested(kubeProxyReplacement=True), "1.16", nested(kubeProxyReplacement=True)),
    (nested(kubeProxyReplacement=True), "1.13", nested(kubeProxyReplacement="strict")),
    (nested(kubeProxyReplacement="false"), "1.13", nested(kubeProxyReplacement="disabled")),
    (nested(l7Proxy=False), "1.20", nested(l7Proxy=False)),
    (nested(encryption__strictMode__enabled=True), "1.18", nested(encryption__strictMode__enabled=True)),
    (nested(encryption__strictMode__enabled=True), "1.19", nested(encryption__strictMode__egress__enabled=True)),
    (
        nested(encryption__strictMode__enabled=True, encryption__strictMode__cidr="10.0.0.0/8"),
        "1.20",
        nested(encryption__strictMode__egress__enabled=True, encryption__strictMode__egress__cidr="10.0.0.0/8"),
    ),
    (
        nested(encryption__strictMode__egress__enabled=True, encryption__strictMode__egress__cidr="10.0.0.0/8"),
        "1.18",
        nested(encryption__strictMode__enabled=True, encryption__strictMode__cidr="10.0.0.0/8"),
    ),
    (nested(encryption__strictMode__enabled=False), "1.14", nested(encryption__strictMode__enabled=False)),
    (nested(encryption__nodeEncryption=True), "1.14", nested(encryption__nodeEncryption=True)),
    (nested(encryption__nodeEncryption=False), "1.13", nested(encryption__nodeEncryption=False)),
    (
        nested(encryption__wireguard__userspaceFallback=True),
        "1.16",
        nested(encryption__wireguard__userspaceFallback=True),
    ),
]


@pytest.mark.parametrize(("values", "version", "expected"), CASES)
def test_values_are_said_in_the_words_of_the_version(
    values: dict[str, Any], version: str, expected: dict[str, Any]
) -> None:
    before = copy.deepcopy(values)
    assert translated(values, version) == expected
    assert values == before, "the user's own stay as they are"
    assert translated(expected, version) == expected, "what is said right is not said anew"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (nested(tunnel="ipip"), "1.15", "the Helm value tunnel=ipip has no translation for Cilium 1.15"),
    (nested(routingMode="magic"), "1.13", "the Helm value routingMode=magic has no translation for Cilium 1.13"),
    (nested(kubeProxyReplacement="probe"), "1.14", "kubeProxyReplacement=probe has no translation for Cilium 1.14"),
    (nested(kubeProxyReplacement="maybe"), "1.12", "kubeProxyReplacement=maybe has no translation for Cilium 1.12"),
    (nested(encryption__wireguard__userspaceFallback=True), "1.17", "the userspace fallback exists in Cilium 1.11 to"),
    (nested(encryption__wireguard__userspaceFallback=True), "1.10", "the userspace fallback exists in Cilium 1.11 to"),
    (nested(encryption__nodeEncryption=True), "1.13", "node encryption with WireGuard exists from Cilium 1.14"),
    (nested(encryption__strictMode__enabled=True), "1.14", "the strict mode for what leaves exists from Cilium 1.15"),
    (
        nested(encryption__strictMode__egress__enabled=True),
        "1.14",
        "the strict mode for what leaves exists from Cilium 1.15",
    ),
    (nested(encryption__strictMode__ingress__enabled=True), "1.18", "for what comes in exists from Cilium 1.19"),
    (nested(underlayProtocol="ipv6"), "1.17", "a tunnel between nodes without IPv4 exists from Cilium 1.18"),
    (nested(encryption__enabled=True, encryption__type="wireguard"), "1.13", "before it needs l7Proxy=false"),
    ({}, "1.9", "Cilium 1.9 is out of the known range"),
    ({}, "newest", "'newest' is not a Cilium version"),
]


@pytest.mark.parametrize(("values", "version", "sentence"), REFUSED)
def test_what_cannot_be_said_is_refused(values: dict[str, Any], version: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        translated(values, version)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("routing", ["native", "vxlan", "geneve"])
@pytest.mark.parametrize("kube_proxy", [True, False])
def test_the_way_through_all_versions_and_back(routing: RoutingMode, kube_proxy: bool) -> None:
    def own(version: str) -> dict[str, Any]:
        server = None if kube_proxy else ("api", 6443)
        values = helm_values(HelmRequest(version=version, pod_cidrs=V4, routing_mode=routing, api_server=server))
        return values | {"l7Proxy": False}

    values = own(MINORS[0])
    for version in [*MINORS, *reversed(MINORS)]:
        values = translated(values, version)
        assert values == own(version), version
