"""Which devices of a node an eavesdropper on the network between the nodes would see. No I/O.

Native devices of a node are, as far as they are up:

1. every device that has one of the node's published addresses, whatever its kind;
2. every device of the most specific route to another node's address, and of any route into another node's pod CIDR:
   the routes of the table main, of all next hops (the addresses may be on `lo`, and packets leave by several devices);
3. every other physical device that has a carrier: a way out that nobody expects is the one to watch. Physical is what
   the kernel gives no kind: Ethernet cards, virtio, the virtual functions of clouds.

Never native are the loopback device, Cilium's own (`cilium_*`, `lxc*`) and members of a bond that is itself native: its
frames are seen on the bond. So Docker's and other bridges, veth ends of pods, tunnels, dummies and the like count only
by the first two rules; on a kind node, whose eth0 is a veth end, the first does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
    addresses = [ip for peer in peers for ip in peer.addresses]
    pod_cidrs = [cidr for peer in peers for cidr in peer.pod_cidrs]
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
    carriers |= set(_ways_to(others, known := tuple(routes))) | set(_ways_into(pod_cidrs, known))
    native = [link for link in candidates if link.name in carriers or _physical(link)]
    bonded = any("MASTER" in link.flags for link in native)
    return tuple(link for link in native if not (bonded and "SLAVE" in link.flags and link.name not in carriers))


def _ways_into(networks: Iterable[IPNetwork], routes: tuple[Route, ...]) -> Iterator[str]:
    """Devices of routes to a whole network or any part of it."""
    for network in networks:
        for route in routes:
            inside = route.destination.version == network.version and route.destination.subnet_of(network)  # type: ignore[arg-type]
            if route.table == "main" and route.device is not None and inside:
                yield route.device


def _never(link: Link) -> bool:
    return "LOOPBACK" in link.flags or link.name.startswith(("cilium_", "lxc"))


def _physical(link: Link) -> bool:
    return not link.kind and "LOWER_UP" in link.flags


def _ways_to(addresses: Iterable[IPAddress], routes: tuple[Route, ...]) -> Iterator[str]:
    for address in addresses:
        matching = [route for route in routes if route.table == "main" and address in route.destination]
        longest = max((route.destination.prefixlen for route in matching), default=0)
        for route in matching:
            if route.destination.prefixlen == longest and route.device is not None:
                yield route.device
