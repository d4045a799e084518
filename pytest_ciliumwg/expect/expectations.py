"""What one declared configuration makes to be expected of every node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pytest_ciliumwg.expect.facts import availability, fact, known_version
from pytest_ciliumwg.expect.versions import Version
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily
from pytest_ciliumwg.model.traffic import Path, Protocol

Requirement = Literal["required", "optional", "forbidden"]
Fragments = Literal["passed", "tail", "dropped"]
"""What becomes of packets in fragments; with `tail` they are dropped where the last one is shorter than SHORT_TAIL."""
SHORT_TAIL = 8
"""Bytes that a fragment needs behind its IP header for Cilium to read a transport header there, as it always does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRule:
    """The ip rule that takes marked packets into the WireGuard device."""

    priority: int
    fwmark: int
    fwmask: int
    table: str


@dataclass(frozen=True, slots=True)
class MtuRange:
    """The MTUs that are right: `low` to `high`, and `clamp` where a lower one may have been lifted to it."""

    low: int
    high: int
    clamp: int | None = None

    def __contains__(self, mtu: object) -> bool:
        if not isinstance(mtu, int):
            return False
        return self.low <= mtu <= self.high or mtu == self.clamp

    def __str__(self) -> str:
        text = str(self.low) if self.low == self.high else f"{self.low} to {self.high}"
        return text if self.clamp is None else f"{text}, or {self.clamp}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What must hold on every node of a cluster with one version and configuration.

    Each attribute and method has the name of its fact, so `source("steering")` says where `steering` is known from.
    """

    config: CiliumConfig
    """What was declared."""
    device_name: str
    listen_port: int
    key_annotations: tuple[str, ...]
    """The CiliumNode annotations that may hold the public key; any of them, whatever the version."""
    steering: Literal["rule", "redirect"]
    rule: ExpectedRule | None
    """The rule of every enabled family; None where a rule into that table must not exist."""
    redirect_program: str | None
    """The BPF program at egress of every native device; None with the steering kind `rule`."""
    fwmarks: frozenset[int] | None
    """The device's possible firewall marks, 0 being none; None where nothing is asserted."""
    device_kinds: frozenset[str]
    """The device's possible rtnl kinds: with the userspace fallback declared it may be `tun` (`userspace_fallback`)."""
    pods_in_allowed_ips: bool
    """Whether allowed IPs hold the addresses of pods and of Cilium's own endpoints, or node addresses alone."""
    pod_cidrs_in_allowed_ips: bool
    """Whether they may hold the whole pod CIDRs of the peer's node besides."""
    encrypted_paths: frozenset[Path]
    """The paths between nodes that must be encrypted. Never assert that another path is clear."""
    overlay_in_wireguard: bool
    """Whether pods' packets are encapsulated before they are encrypted: in a tunnel, since 1.15."""
    strict_egress: bool
    """Whether the strict mode exists that drops what would leave in cleartext."""
    l7_proxy_allowed: bool
    """Whether the L7 proxy may be on together with encryption."""
    restart_loss: bool
    """Whether traffic may be lost while an agent restarts, even where its device stays."""
    churn_loss: bool
    """Whether traffic may be lost for a moment whenever a pod comes or goes."""
    agent_binary: str
    """The command line tool in the agent's container."""
    mtu_base: Literal["primary", "selected"]
    """Whose MTU all others are made from: the device's with the node's address, or the lowest of those selected."""
    device_overhead: tuple[int, int]
    """How many bytes, least and most, the device's MTU is below the one that it is made from."""
    pod_route_overhead: tuple[int, int]
    """The same of the routes in pods."""
    clamp: int | None
    """The MTU to which a lower one may be lifted; None without IPv6."""
    node_address_policy: tuple[Requirement, Requirement]
    """Whether allowed IPs hold node addresses: of a node, and of one that opted out of node encryption."""
    unfragmented_underlays: frozenset[IPFamily]
    """The underlays on which no tunnel packet is fragmented."""

    fragments: Mapping[tuple[IPFamily, Protocol], Fragments]
    """What becomes of pods' packets in fragments; of TCP, which makes none, nothing is said."""

    def drops_fragments(self, family: IPFamily, protocol: Protocol, last: int) -> bool:
        """Whether Cilium drops a pod's packet that is in fragments, by design or by a known fault of this version.

        Args:
            family: The packet's family.
            protocol: Its protocol.
            last: How many bytes the last fragment has behind its IP header; 0 for a packet that is whole.
        """
        fate = self.fragments[family, protocol] if last else "passed"
        return fate == "dropped" or (fate == "tail" and last < SHORT_TAIL)

    def device_mtus(self, base: int) -> MtuRange:
        """The MTUs that the device may have where Cilium makes all from `base` (see `mtu_base`)."""
        return self._mtus(base, self.device_overhead)

    def pod_route_mtus(self, base: int, told: int = 0) -> MtuRange:
        """The MTUs that a pod's routes to other nodes may have where Cilium makes all from `base`.

        Args:
            base: The MTU that it makes all others from (see `mtu_base`).
            told: The MTU of these routes that Cilium is told; 0 where it makes one.
        """
        return MtuRange(told, told) if told else self._mtus(base, self.pod_route_overhead)

    def _mtus(self, base: int, overhead: tuple[int, int]) -> MtuRange:
        least, most = overhead
        low, high = base - most, base - least
        return MtuRange(low, high, self.clamp if self.clamp is not None and low < self.clamp else None)

    def node_addresses(self, *, opted_out: bool = False) -> Requirement:
        """Whether a peer's allowed IPs hold its node's InternalIPs; its ExternalIPs are always optional.

        Args:
            opted_out: Whether the peer's node opted out of node encryption, as control-plane nodes do by default: its
                `encryption_key` is 0, which its CiliumNode may leave out, instead of 255.
        """
        return self.node_address_policy[1 if opted_out else 0]

    def may_opt_out(self, labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels may opt out of node encryption, as it was declared."""
        terms = [term.partition("=") for term in self.config.node_encryption_opt_out]
        return bool(terms) and all(
            label in labels and (not equals or labels[label] == value) for label, equals, value in terms
        )

    def without_strict_egress(self) -> str:
        """Why what is not encrypted cannot meet the strict mode for what leaves, were it on; empty where it can."""
        if not self.strict_egress:
            return f"{availability('strict_egress')}, and this is {self.config.version}"
        if IPFamily.V4 not in self.config.families:
            return "the strict mode for what leaves protects IPv4 alone"
        if self.config.routing_mode != "native":
            return "in a tunnel, what is for a pod that the ipcache does not have never gets to a native device"
        return ""

    def unfragmented(self, underlay: IPFamily) -> bool:
        """Whether no packet of the tunnel may be fragmented when it travels over this family."""
        return underlay in self.unfragmented_underlays


def expectations_for(config: CiliumConfig) -> Expectations:
    """What a configuration makes to be expected.

    A combination that its version cannot have is not refused here; ask `contradictions` first.

    Raises:
        ValueError: the configuration's version is no version, or out of the known range.
    """
    version = known_version(config.version)
    routing = _kind_of_routing(config)

    def value(name: str) -> Any:
        return fact(name, version)

    policy = value("node_addresses")[routing]
    # The declaration decides, even where the version has no fallback (a lab may imitate it all the same):
    # whether the two go together is what `contradictions` says.
    fallback = config.userspace_fallback
    return Expectations(
        config=config,
        device_name=value("device_name"),
        listen_port=value("listen_port"),
        key_annotations=tuple(value("key_annotations")),
        steering=value("steering"),
        rule=ExpectedRule(**value("rule")) if value("rule") else None,
        redirect_program=value("redirect_program") or None,
        fwmarks=frozenset(value("fwmarks")) or None,
        device_kinds=frozenset({"wireguard", "tun"} if fallback else {"wireguard"}),
        pods_in_allowed_ips=value("pods_in_allowed_ips")[routing],
        pod_cidrs_in_allowed_ips=value("pod_cidrs_in_allowed_ips")[routing],
        encrypted_paths=_encrypted_paths(
            config,
            value("encrypted_paths")["node_encryption" if config.node_encryption else routing],
            value("balanced_paths")[routing],
        ),
        overlay_in_wireguard=routing == "tunnel" and value("overlay_in_wireguard"),
        strict_egress=value("strict_egress"),
        l7_proxy_allowed=value("l7_proxy_allowed"),
        restart_loss=value("restart_loss"),
        churn_loss=value("churn_loss"),
        agent_binary=value("agent_binary"),
        mtu_base=value("mtu_base"),
        device_overhead=_span(value("device_mtus")),
        pod_route_overhead=_span(value("pod_route_mtus")[routing]),
        clamp=value("mtu_clamp") if IPFamily.V6 in config.families else None,
        node_address_policy=(
            (policy["node_encryption"], policy["opted_out"]) if config.node_encryption else (policy["plain"],) * 2
        ),
        fragments={
            (IPFamily(family), Protocol(protocol)): fate
            for family, fates in value("fragments").items()
            for protocol, fate in fates.items()
        },
        unfragmented_underlays=frozenset(
            IPFamily(name) for name in value("unfragmented")["node_encryption" if config.node_encryption else routing]
        ),
    )


def _encrypted_paths(config: CiliumConfig, always: Iterable[Path], balanced: Iterable[Path]) -> frozenset[Path]:
    """The paths that are encrypted always, and those that are with kube-proxy replacement; no other of its ways is."""
    found = set(always)
    if config.kube_proxy_replacement:
        left_out = {"pod-to-nodeport"} if "hosts-only" in config.load_balancing else set()
        found |= set(balanced) - left_out
    # Of its answers, and of what XDP forwards, nothing passes the program that encrypts.
    return frozenset(found - {"north-south"} if config.load_balancing & {"dsr", "xdp"} else found)


def _has(name: str, version: Version, config: CiliumConfig) -> bool:
    """Whether a version has an option; some depend on the kind of routing."""
    value = fact(name, version)
    return bool(value[_kind_of_routing(config)] if isinstance(value, Mapping) else value)


def _kind_of_routing(config: CiliumConfig) -> str:
    return "native" if config.routing_mode == "native" else "tunnel"


def _span(value: Mapping[str, int]) -> tuple[int, int]:
    return value["least"], value["most"]


def contradictions(config: CiliumConfig) -> tuple[str, ...]:
    """One sentence for each declared setting that the declared version cannot have.

    Raises:
        ValueError: the configuration's version is no version, or out of the known range.
    """
    version = known_version(config.version)
    declared = {
        "node_encryption": config.node_encryption,
        "userspace_fallback": config.userspace_fallback,
        "strict_egress": config.strict_egress,
        "strict_ingress": config.strict_ingress,
        "ipv6_only": config.families == {IPFamily.V6},
    }
    found = [
        f"{availability(name)}, but it is declared for Cilium {config.version}"
        for name, wanted in declared.items()
        if wanted and not _has(name, version, config)
    ]
    if not config.families:
        found.append("no IP family is declared, so no traffic could be tested")
    return tuple(found)
