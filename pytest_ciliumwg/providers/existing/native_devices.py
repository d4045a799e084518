"""Which devices of a node an eavesdropper on the network between the nodes would see. No I/O.

Native devices of a node are, as far as they are up:

1. every device that has one of the node's published addresses, whatever its kind;
2. every device of the most specific route to another node's address, and of any route into another node's pod CIDR:
   the routes of the table main, of all next hops (the addresses may be on `lo`, and packets leave by several devices);
3. every other physical device that has a carrier: a way out that nobody expects is the one to watch. Physical is what
   the kernel gives no kind: Ethernet cards, virtio, the virtual functions of clouds. So is a bond of such.

Never native are the loopback device, Cilium's own (`cilium_*`, `lxc*`) and members of a bond: their frames are seen on
the bond. So Docker's and other bridges, veth ends of pods, tunnels, dummies and the like count only
by the first two rules; on a kind node, whose eth0 is a veth end, the first does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPAddress, IPNetwork, Node
from pytest_ciliumwg.model.node_state import Link, Route


def native_devices_of(
    node: Node, others: Iterable[Node], links: Iterable[Link], routes: Iterable[Route]
) -> tuple[Link, ...]:
    """The native devices of a node, by what it and the other nodes publish.

    Raises:
        ObservationError: it has none, as far as can be seen.
    """
    peers = tuple(others)
    addresses = (ip for peer in peers for ip in peer.addresses)
    pod_cidrs = (cidr for peer in peers for cidr in peer.pod_cidrs)
    found = native_devices(links, routes, node.tunnel_addresses, addresses, pod_cidrs)
    if not found:
        raise ObservationError(f"no device of {node.name} has its addresses, leads to another node or is physical")
    return found


def native_devices(
    links: Iterable[Link],
    routes: Iterable[Route],
    own: Iterable[IPAddress],
    others: Iterable[IPAddress],
    pod_cidrs: Iterable[IPNetwork] = (),
) -> tuple[Link, ...]:
    """The native devices, in the kernel's order.

    Args:
        links: All devices of the node, with their addresses.
        routes: The routes of its table main, of both families.
        own: The node's published addresses.
        others: The addresses of the other nodes.
        pod_cidrs: The networks of their pods.
    """
    candidates = [link for link in links if "UP" in link.flags and not _never(link)]
    addresses = frozenset(own)
    carriers = {link.name for link in candidates if any(address.ip in addresses for address in link.addresses)}
    if not carriers.issuperset(link.name for link in candidates):
        table = _MainTable(routes)
        carriers |= {device for address in others for device in table.ways_to(address)}
        carriers |= {device for network in pod_cidrs for device in table.ways_into(network)}
    native = [link for link in candidates if link.name in carriers or _physical(link)]
    bonded = any(link.kind == "bond" for link in native)
    return tuple(link for link in native if not (bonded and "SLAVE" in link.flags and link.name not in carriers))


class _MainTable:
    """The routes of the table main, found by their first bits: there are as many as nodes, and so are the questions."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [route for route in routes if route.table == "main"]
        self._by_prefix: dict[tuple[int, int], dict[int, list[Route]]] = defaultdict(lambda: defaultdict(list))
        for route in self._routes:
            found, length = route.destination, route.destination.prefixlen
            self._by_prefix[found.version, length][_first_bits(found, length)].append(route)
        self._lengths = sorted(self._by_prefix, reverse=True)
        self._inside: dict[tuple[int, int], Mapping[int, Sequence[str]]] = {}

    def ways_to(self, address: IPAddress) -> Iterator[str]:
        """Devices of the most specific route to an address."""
        number, bits = int(address), address.max_prefixlen
        for version, length in self._lengths:
            if version == address.version and (
                routes := self._by_prefix[version, length].get(number >> (bits - length))
            ):
                return (route.device for route in routes if route.device is not None)
        return iter(())

    def ways_into(self, network: IPNetwork) -> Sequence[str]:
        """Devices of routes to a whole network or any part of it."""
        size = network.version, network.prefixlen
        if size not in self._inside:
            self._inside[size] = self._within(*size)
        return self._inside[size].get(_first_bits(network, network.prefixlen), ())

    def _within(self, version: int, length: int) -> Mapping[int, Sequence[str]]:
        """The first bits of networks of this length → the devices of routes to them or parts of them."""
        found: dict[int, list[str]] = defaultdict(list)
        for route in self._routes:
            if route.device and route.destination.version == version and route.destination.prefixlen >= length:
                found[_first_bits(route.destination, length)].append(route.device)
        return found


def _first_bits(network: IPNetwork, length: int) -> int:
    return int(network.network_address) >> (network.max_prefixlen - length)


def _never(link: Link) -> bool:
    return "LOOPBACK" in link.flags or link.name.startswith(("cilium_", "lxc"))


def _physical(link: Link) -> bool:
    return link.kind in ("", "bond") and "LOWER_UP" in link.flags
