"""Networks that hold the addresses of all pods: few enough for a filter in the kernel."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import pairwise

from pytest_ciliumwg.model.cluster import IPNetwork, Node, Pod, ingress_ends

MOST = 4
"""Of each family; more are covered by larger ones, which may hold others' addresses too."""


def pod_networks(nodes: Collection[Node], pods: Iterable[Pod]) -> tuple[IPNetwork, ...]:
    """Networks of the nodes' pods and ingress endpoints: the pod CIDRs, and the addresses that are in none of these."""
    networks: set[IPNetwork] = {network for node in nodes for network in node.pod_cidrs}
    networks |= {ip_network(address) for pod in (*pods, *ingress_ends(nodes)) for address in pod.addresses}
    four = [network for network in networks if isinstance(network, IPv4Network)]
    six = [network for network in networks if isinstance(network, IPv6Network)]
    return (*_few(collapse_addresses(four)), *_few(collapse_addresses(six)))


def _few(networks: Iterable[IPNetwork]) -> list[IPNetwork]:
    few = sorted(networks, key=lambda network: network.network_address.packed)
    while len(few) > MOST:
        # Of neighbours, the two whose common network is the smallest.
        lengths = [_common_length(*neighbours) for neighbours in pairwise(few)]
        at = lengths.index(max(lengths))
        few[at : at + 2] = [few[at].supernet(new_prefix=lengths[at])]
    return few


def _common_length(one: IPNetwork, other: IPNetwork) -> int:
    """The prefix length of the smallest network that holds both."""
    different = int(one.network_address) ^ int(other.network_address)
    return min(one.prefixlen, other.prefixlen, one.max_prefixlen - different.bit_length())
