"""Ids and ports for flows. Ports are clear of those that others use, so that no other traffic is taken for a flow."""

from __future__ import annotations

import itertools

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.model.traffic import Protocol
from pytest_ciliumwg.providers.base import SERVICE_PORT

FIRST_PORT, LAST_PORT = 11000, 29999
"""Above Kubernetes' and Cilium's own ports on a node (4240 to 10259, overlays 4789, 6081 and 8472), below NodePorts
(30000 to 32767) and ephemeral ports (32768 to 60999), among which is WireGuard's 51871."""
PORTS = tuple(port for port in range(FIRST_PORT, LAST_PORT + 1) if port not in range(SERVICE_PORT, SERVICE_PORT + 16))
"""Without those of Services, NodePorts and hostPorts, which have fixed ports at the pods behind them."""


class FlowNumbers:
    """Hands out the ids and ports of the flows of one watch.

    Ids count from 0. No two flows with the same destination and protocol get the same port; in a small cluster no two
    flows do at all.
    """

    def __init__(self) -> None:
        self._ids = itertools.count()
        self._taken: set[tuple[IPAddress, Protocol, int]] = set()

    def take(self, destination: IPAddress, protocol: Protocol) -> tuple[int, int]:
        """The id and the port of the next flow.

        Raises:
            ProviderError: more flows go to this destination than there are ports.
        """
        number = next(self._ids)
        for at in range(number, number + len(PORTS)):
            port = PORTS[at % len(PORTS)]
            if (destination, protocol, port) not in self._taken:
                self._taken.add((destination, protocol, port))
                return number, port
        raise ProviderError(
            f"more than {len(PORTS)} {protocol.value} flows go to {destination}: test fewer nodes "
            "(--ciliumwg-max-nodes)"
        )
