"""Places at which something is verified: a node, a pair of nodes, a flow; what they name, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod
from pytest_ciliumwg.model.node_state import Endpoint
from pytest_ciliumwg.model.traffic import Flow, Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a requirement holds or not. Its text is for people; code reads its fields."""

    extent: str = ""
    """What is not one node, pair or flow, such as `all nodes`."""
    change: str = ""
    """The change of the cluster that it is about."""
    node: str | None = None
    device: str | None = None
    family: IPFamily | None = None
    pair: tuple[str, str] | None = None
    """Two nodes; source and destination where it is directed."""
    directed: bool = True
    """Whether the pair is."""
    seen_from: str | None = None
    """The node whose watch saw the pair."""
    flow: Flow | None = None
    path: Path | None = None
    pod: str | None = None
    """A pod's key; it is on the node."""
    peer: str | None = None
    """The node that is the peer of the node."""
    endpoint: Endpoint | None = None
    outer: tuple[IPAddress, IPAddress] | None = None
    """Source and destination of WireGuard's outer packets."""
    ends: tuple[IPAddress, ...] = ()
    """Addresses of test pods that were found in a frame."""
    route_to: IPAddress | None = None
    detail: str = ""
    """What else tells it apart, such as a time."""
    concerned_nodes: tuple[str, ...] = ()
    """Nodes that what was expected or seen there names; they are no part of the text."""
    concerned_addresses: tuple[IPAddress, ...] = ()
    """Addresses likewise."""

    @classmethod
    def everywhere(cls, extent: str) -> Place:
        """No single node, pair or flow, such as `all nodes`."""
        return cls(extent=extent)

    @classmethod
    def of_node(
        cls, node: str, device: str | None = None, *, family: IPFamily | None = None, detail: str = ""
    ) -> Place:
        """A node, or one of its devices; of one IP family, at a certain time."""
        return cls(node=node, device=device, family=family, detail=detail)

    @classmethod
    def of_peer(cls, node: str, peer: str) -> Place:
        """A node's peer, by the name of the node that it is."""
        return cls(node=node, peer=peer)

    @classmethod
    def of_endpoint(cls, node: str, endpoint: Endpoint) -> Place:
        """All peers of a node that have this endpoint."""
        return cls(node=node, endpoint=endpoint)

    @classmethod
    def of_pair(cls, source: str, destination: str, *, seen_from: str | None = None) -> Place:
        """A directed pair of nodes."""
        return cls(pair=(source, destination), seen_from=seen_from)

    @classmethod
    def between(cls, node: str, peer: str) -> Place:
        """Two nodes, in both directions."""
        return cls(pair=(node, peer), directed=False)

    @classmethod
    def of_flow(cls, flow: Flow) -> Place:
        """A flow."""
        return cls(flow=flow)

    @classmethod
    def of_path(cls, path: Path) -> Place:
        """All flows of a path."""
        return cls(path=path)

    @classmethod
    def of_pods(cls, source: Pod, destination: Pod) -> Place:
        """A directed pair of pods on two nodes."""
        place = cls(pair=(source.node, destination.node), detail=f"{source.key} → {destination.key}")
        return place.concerning(addresses=[*source.addresses, *destination.addresses])

    @classmethod
    def of_outer(cls, node: str, device: str, source: IPAddress, destination: IPAddress) -> Place:
        """WireGuard's outer packets from one address to another, as they pass a node's device."""
        return cls(node=node, device=device, outer=(source, destination))

    @classmethod
    def of_route(cls, pod: Pod, destination: IPAddress) -> Place:
        """A route in a pod."""
        return cls(pod=pod.key, node=pod.node, route_to=destination)

    @classmethod
    def of_change(cls, change: str) -> Place:
        """The cluster under a change."""
        return cls(change=change)

    def under(self, change: str) -> Place:
        """The same place under a change."""
        return replace(self, change=change)

    def concerning(self, nodes: Iterable[str] = (), addresses: Iterable[IPAddress] = ()) -> Place:
        """The same place, where what was expected or seen names further nodes and addresses."""
        nodes, addresses = tuple(nodes), tuple(addresses)
        if not nodes and not addresses:
            return self
        return replace(
            self,
            concerned_nodes=(*self.concerned_nodes, *nodes),
            concerned_addresses=(*self.concerned_addresses, *addresses),
        )

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes that a finding at this place names."""
        pairs = [*(self.pair or ()), *(self.flow.pair if self.flow else ())]
        named = [self.node, self.peer, *pairs, self.seen_from, *self.concerned_nodes]
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """All addresses that a finding at this place names."""
        flow = (self.flow.source, self.flow.destination) if self.flow else ()
        endpoint = (self.endpoint.address,) if self.endpoint else ()
        route = (self.route_to,) if self.route_to else ()
        named = (*flow, *endpoint, *(self.outer or ()), *self.ends, *route, *self.concerned_addresses)
        return tuple(dict.fromkeys(named))

    def fields(self) -> dict[str, Any]:
        """For reports: what is set, in plain values; `nodes` and `addresses` are all that a finding here names."""
        family = self.flow.family if self.flow else self.family
        rows: dict[str, Any] = {
            "extent": self.extent,
            "change": self.change,
            "node": self.node,
            "device": self.device,
            "family": family.value if family else None,
            "pair": list(self.flow.pair if self.flow else self.pair or ()),
            "seen_from": self.seen_from,
            "flow": self.flow.id if self.flow else None,
            "protocol": self.flow.protocol.value if self.flow else None,
            "path": self.flow.path if self.flow else self.path,
            "pod": self.pod,
            "peer": self.peer,
            "endpoint": str(self.endpoint) if self.endpoint else None,
            "outer": [str(address) for address in self.outer or ()],
            "ends": [str(address) for address in self.ends],
            "route_to": str(self.route_to) if self.route_to else None,
            "detail": self.detail,
        }
        named = {"nodes": list(self.nodes), "addresses": [str(address) for address in self.addresses]}
        return {name: value for name, value in rows.items() if value not in (None, "", [])} | named

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.change, self._subject(), *self._details())))

    def _subject(self) -> str:
        if self.flow:
            return str(self.flow)
        if self.pair:
            return f" {'→' if self.directed else '↔'} ".join(self.pair)
        if self.pod:
            return f"pod {self.pod} on {self.node}"
        family = f"IP{self.family.value}" if self.family else None
        return " ".join(filter(None, (self.extent, self.path, self.node, self.device, family)))

    def _details(self) -> Iterator[str]:
        if self.peer:
            yield f"peer {self.peer}"
        if self.endpoint:
            yield f"endpoint {self.endpoint}"
        if self.outer:
            yield " → ".join(map(str, self.outer))
        if self.ends:
            yield " and ".join(map(str, self.ends))
        if self.route_to:
            yield f"route to {self.route_to}"
        if self.seen_from:
            yield f"seen from {self.seen_from}"
        yield self.detail
