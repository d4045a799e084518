"""The ConfigMap `cilium-config`, in the spellings of all Cilium versions, to the configuration it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import OPT_OUT_LABELS, Balancing, CiliumConfig, IPFamily, RoutingMode
from pytest_ciliumwg.observe.json_reader import number

_PLACE = "the ConfigMap cilium-config"
_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false", ""})
_OPT_OUT = "node-encryption-opt-out-labels"
_STRICT = "enable-encryption-strict-mode"
_TUNNELS = frozenset({"vxlan", "geneve"})
_REPLACES_KUBE_PROXY = {
    "strict": True,
    "true": True,
    # It replaced kube-proxy wherever the kernel could (1.10, 1.11).
    "probe": True,
    # Single parts of kube-proxy, each with its own option.
    "partial": False,
    "disabled": False,
    "false": False,
    "": False,
}


def config_from_configmap(data: Mapping[str, str], version: str) -> CiliumConfig:
    """Read the `data` of the ConfigMap.

    Args:
        data: The entries.
        version: The version that the agents report; the ConfigMap does not tell it.

    Raises:
        ObservationError: an entry that every chart writes is missing, or an entry is not understood.
    """
    families = {IPFamily.V4: "enable-ipv4", IPFamily.V6: "enable-ipv6"}
    missing = [key for key in families.values() if key not in data]
    if missing:
        message = f"{_PLACE} has no {missing[0]}, which every installation has: is it another ConfigMap?"
        raise ObservationError(message)
    return CiliumConfig(
        version=version,
        encryption=_flag(data, "enable-wireguard"),
        families=frozenset(family for family, key in families.items() if _flag(data, key)),
        routing_mode=_routing_mode(data),
        node_encryption=_flag(data, "encrypt-node"),
        node_encryption_opt_out=_opt_out(data),
        userspace_fallback=_flag(data, "enable-wireguard-userspace-fallback"),
        # One name to 1.18, for what leaves; from 1.19 one for each direction.
        strict_egress=_flag(data, _STRICT) or _flag(data, f"{_STRICT}-egress"),
        strict_ingress=_flag(data, f"{_STRICT}-ingress"),
        kube_proxy_replacement=_one_of(data, "kube-proxy-replacement", _REPLACES_KUBE_PROXY),
        load_balancing=frozenset(_load_balancing(data)),
        cluster_id=_number(data, "cluster-id"),
        mtu=_number(data, "mtu"),
        route_mtu=_number(data, "route-mtu"),
    )


def is_cilium_config(data: Mapping[str, str]) -> bool:
    """Whether a ConfigMap's `data` looks like Cilium's, whatever the ConfigMap is called."""
    return {"enable-ipv4", "enable-ipv6"} <= data.keys() and bool({"identity-allocation-mode", "ipam"} & data.keys())


def endpoints_published(data: Mapping[str, str]) -> bool:
    """Whether Cilium makes CiliumEndpoints.

    Raises:
        ObservationError: the entry is not understood.
    """
    return not _flag(data, "disable-endpoint-crd")


def endpoints_sliced(data: Mapping[str, str]) -> bool:
    """Whether Cilium makes CiliumEndpointSlices.

    Raises:
        ObservationError: the entry is not understood.
    """
    return _flag(data, "enable-cilium-endpoint-slice")


def _load_balancing(data: Mapping[str, str]) -> Iterator[Balancing]:
    if _entry(data, "bpf-lb-mode").lower() in {"dsr", "hybrid", "annotation"}:
        yield "dsr"
    if _entry(data, "bpf-lb-acceleration").lower() not in {"", "disabled"}:
        yield "xdp"
    if _flag(data, "bpf-lb-sock-hostns-only"):
        yield "hosts-only"


def _opt_out(data: Mapping[str, str]) -> tuple[str, ...]:
    if _OPT_OUT not in data:
        return OPT_OUT_LABELS
    return tuple(term.strip() for term in _entry(data, _OPT_OUT).split(",") if term.strip())


def _flag(data: Mapping[str, str], key: str) -> bool:
    return _one_of(data, key, dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False))


def _number(data: Mapping[str, str], key: str) -> int:
    return number(_entry(data, key).strip() or "0", f"the entry {key} of {_PLACE}")


def _one_of(data: Mapping[str, str], key: str, meanings: Mapping[str, bool]) -> bool:
    value = _entry(data, key).lower()
    if value not in meanings:
        message = f"{_PLACE} has {value!r} for {key}, which is not understood"
        raise ObservationError(message)
    return meanings[value]


def _entry(data: Mapping[str, str], key: str) -> str:
    value: object = data.get(key, "")
    if not isinstance(value, str):
        message = f"{_PLACE} has something for {key} that is no text"
        raise ObservationError(message)
    return value


def _routing_mode(data: Mapping[str, str]) -> RoutingMode:
    mode, old = _entry(data, "routing-mode"), _entry(data, "tunnel")
    if mode == "native" or (not mode and old == "disabled"):
        return "native"
    # To 1.13 the key `tunnel` names both; without it Cilium uses VXLAN.
    protocol = _entry(data, "tunnel-protocol") or (old if old != "disabled" else "") or "vxlan"
    if mode not in {"", "tunnel"} or protocol not in _TUNNELS:
        message = f"{_PLACE} has the routing mode {mode or old!r} with {protocol!r}, which is not understood"
        raise ObservationError(message)
    return cast("RoutingMode", protocol)
