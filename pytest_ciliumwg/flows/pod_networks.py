"""Networks that hold the addresses of all pods: few enough for a filter in the kernel."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from pytest_ciliumwg.model.cluster import IPNetwork, Node, Pod

MOST = 4
"""Of each family; more are covered by larger ones, which may hold others' addresses too."""


def pod_networks(nodes: Iterable[Node], pods: Iterable[Pod]) -> tuple[IPNetwork, ...]:
    """Networks of the nodes' pods: their pod CIDRs, and the addresses of pods that are in none of these."""
    networks: set[IPNetwork] = {network for node in nodes for network in node.pod_cidrs}
    networks |= {ip_network(address) for pod in pods for address in pod.addresses}
    four = [network for network in networks if isinstance(network, IPv4Network)]
    six = [network for network in networks if isinstance(network, IPv6Network)]
    return (*_few(collapse_addresses(four)), *_few(collapse_addresses(six)))


def _few(networks: Iterable[IPNetwork]) -> list[IPNetwork]:
    few = sorted(networks, key=lambda network: network.network_address.packed)
    while len(few) > MOST:
        # Of neighbours, the two whose common network is the smallest.
        pairs = [(_common(few[at], few[at + 1]), at) for at in range(len(few) - 1)]
        common, at = max(pairs, key=lambda pair: pair[0].prefixlen)
        few[at : at + 2] = [common]
    return few


def _common(one: IPNetwork, other: IPNetwork) -> IPNetwork:
    while not _covers(one, other):
        one = one.supernet()
    return one


def _covers(one: IPNetwork, other: IPNetwork) -> bool:
    return one.network_address <= other.network_address and other.broadcast_address <= one.broadcast_address  # type: ignore[operator]
