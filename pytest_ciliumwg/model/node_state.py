"""One node from the inside: its WireGuard device, peers, rules, routes and redirects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, IPNetwork

DUMMY_KEY = "A" * 43 + "="
"""The all-zero public key of the peer that Cilium from 1.16.3 adds for a moment while it moves allowed IPs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network device (`ip -d link`, `ip addr`)."""

    name: str
    index: int
    kind: str
    """The rtnl kind, such as `wireguard`, `tun`, `veth`; empty for a physical device."""
    flags: frozenset[str]
    mtu: int
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    mac: str = field(default="", compare=False)
    """Its Ethernet address; empty for a device without one. A device that is made anew may get another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireGuardDevice:
    """The WireGuard side of a device. The private key is never read."""

    name: str
    public_key: str | None
    """base64; None while the device has no key."""
    listen_port: int | None
    fwmark: int | None
    """The firewall mark on outer packets; 0 is "off"; None where the source of the observation does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a peer's outer packets go."""

    address: IPAddress
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(unsafe_hash=True, slots=True, kw_only=True)
class Peer:
    """A peer of the WireGuard device. Nobody changes one.

    It is not frozen, because a frozen one takes more than twice as long to make, and a large cluster has millions.
    """

    public_key: str
    endpoint: Endpoint | None
    allowed_ips: frozenset[IPNetwork]
    latest_handshake: float | None
    """Seconds since the epoch, on the node's clock; None when no handshake ever completed."""
    rx_bytes: int
    tx_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy routing rule (`ip rule`)."""

    family: IPFamily
    priority: int
    table: str
    """`main`, `local`, or a number, as a string; empty for a rule that looks no table up."""
    fwmark: int | None = None
    fwmask: int | None = None
    """The mask under which the mark is compared; None without a mark."""
    source: str = "all"
    conditions: tuple[str, ...] = ()
    """Further conditions of the rule, such as `iif eth0`, or `not`, which inverts the whole rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of one table (`ip route show table …`)."""

    family: IPFamily
    table: str
    destination: IPNetwork
    """A default route is 0.0.0.0/0 or ::/0."""
    device: str | None
    gateway: IPAddress | None = None
    mtu: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """What takes packets on a native device's tc hook into the WireGuard device."""

    device: str
    direction: Literal["ingress", "egress"]
    means: Literal["bpf", "mirred"]
    """A BPF program of Cilium's, or the lab's tc action."""
    program: str
    """The BPF program, such as `cil_to_netdev`; the target device for mirred."""
    families: frozenset[IPFamily]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """All that was observed of one node at one time."""

    node: str
    observed_at: float
    """Seconds since the epoch, on the node's clock where it could be had."""
    link: Link | None
    """The device `cilium_wg0`; None when the node has none."""
    wireguard: WireGuardDevice | None
    peers: tuple[Peer, ...]
    rules: tuple[Rule, ...]
    routes: tuple[Route, ...]
    """Routes of the table main and of table 201."""
    redirects: tuple[Redirect, ...]
    native_devices: tuple[Link, ...]
    rp_filter: int | None
    """`net.ipv4.conf.cilium_wg0.rp_filter`; None without the device or without IPv4."""
    other_routes: tuple[Route, ...] = ()
    """Routes of all other tables, but for the table local."""
    known_nodes: Mapping[IPAddress, str] | None = None
    """Address → name of the nodes that the agent knows, `cluster/node` in a mesh; None where it does not tell."""
    macs: frozenset[str] = frozenset()
    """The Ethernet addresses of all its devices."""
    devices: tuple[Link, ...] = ()
    """All devices of the node, whatever they are."""
    selected: tuple[str, ...] | None = None
    """The devices that Cilium selected for its programs, by name; None where the agent does not tell."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Field name to the reason why it could not be read. A field named here is unknown, not empty."""

    def real_peers(self) -> tuple[Peer, ...]:
        """The peers without Cilium's transient all-zero dummy."""
        return tuple(peer for peer in self.peers if peer.public_key != DUMMY_KEY)


def machines(states: Iterable[NodeState]) -> frozenset[str]:
    """The Ethernet addresses of these nodes; empty where those of one are not known, so that none is taken for all."""
    known = [state.macs for state in states]
    return frozenset().union(*known) if all(known) else frozenset()
