"""Values of the model with other names and addresses: every text in it is known by what it is.

Addresses are known by their type. For each text the tables say what it holds: a new one has to be put into one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, TypeVar

from pytest_ciliumwg.model.cluster import CiliumConfig, Member, Node, Pod
from pytest_ciliumwg.model.measurement import Measurement, Problem
from pytest_ciliumwg.model.node_state import Link, NodeState, Peer, Redirect, Route, Rule, WireGuardDevice
from pytest_ciliumwg.model.reading import Reading
from pytest_ciliumwg.model.traffic import Delivery, EvidenceFrame, Flow, Sighting
from pytest_ciliumwg.model.watch import ControlSeen, Conversation, PodsReport, WatchReport
from pytest_ciliumwg.providers.offline.anonymous.addresses import Addresses
from pytest_ciliumwg.providers.offline.anonymous.frames import anonymous_frame
from pytest_ciliumwg.providers.offline.anonymous.names import Names

T = TypeVar("T")
Field = tuple[type, str]
Change = Callable[[Any], Any]

TOLD: Mapping[str, tuple[Field, ...]] = {
    "node": (
        *((Node, "name"), (Pod, "node"), (Member, "name"), (Problem, "node"), (NodeState, "node")),
        *((Flow, "source_node"), (Flow, "destination_node"), (Flow, "served_by")),
        *((Sighting, "node"), (ControlSeen, "sender"), (WatchReport, "node")),
        *((NodeState, "known_nodes"), (Measurement, "dropped_by_policies")),
    ),
    "namespace": ((Pod, "namespace"),),
    "pod": ((Pod, "name"),),
    "pod_key": ((Flow, "source_pod"), (Flow, "destination_pod")),
    "domain": ((Flow, "dns_domain"),),
    "label_term": ((CiliumConfig, "node_encryption_opt_out"),),
    "mac": ((Link, "mac"), (NodeState, "macs")),
    "text": (
        *((Problem, "why"), (NodeState, "unread"), (WatchReport, "errors"), (Measurement, "policies")),
        *((Delivery, "error"), (Delivery, "unmeasured")),
    ),
    "addresses_in": ((Rule, "source"), (Rule, "conditions")),
}
"""Method of `Names` → the fields whose texts it replaces; of mappings their values."""
BY_NODE: tuple[Field, ...] = ((Reading, "states"), (Measurement, "watches"), (Measurement, "before"))
"""Mappings by names of nodes."""
SAME: tuple[Field, ...] = (
    *((CiliumConfig, "version"), (Node, "public_key"), (Peer, "public_key"), (WireGuardDevice, "public_key")),
    *((WireGuardDevice, "name"), (Link, "name"), (Link, "kind"), (Link, "flags"), (NodeState, "selected")),
    *((Rule, "table"), (Route, "table"), (Route, "device"), (Redirect, "device"), (Redirect, "program")),
    *((Sighting, "device"), (Sighting, "layers"), (ControlSeen, "device"), (ControlSeen, "way")),
    *((Conversation, "device"), (Conversation, "tunnel"), (PodsReport, "controls")),
    *((WatchReport, "devices"), (WatchReport, "kernel")),
)
"""Texts that tell nothing of whose cluster it is: devices, programs, tables, public keys, versions."""


class AnonymousModel:
    """Replaces all names and addresses in values of the model."""

    def __init__(self, addresses: Addresses, names: Names) -> None:
        self._addresses = addresses
        self._by_type: Mapping[type, Change] = {
            IPv4Address: addresses.address,
            IPv6Address: addresses.address,
            IPv4Network: addresses.network,
            IPv6Network: addresses.network,
            IPv4Interface: addresses.interface,
            IPv6Interface: addresses.interface,
        }
        self._texts: dict[Field, Change] = {
            field: getattr(names, method) for method, told in TOLD.items() for field in told
        }
        self._names = names

    def of(self, value: T) -> T:
        """The value with others."""
        changed: T = self._value(value, None)
        return changed

    def by_node(self, mapping: Mapping[str, T]) -> dict[str, T]:
        """A mapping by names of nodes, with others."""
        return {self._names.node(name): self.of(value) for name, value in mapping.items()}

    def _value(self, value: Any, text: Change | None) -> Any:
        if isinstance(value, str):
            return text(value) if text else value
        if change := self._by_type.get(type(value)):
            return change(value)
        if isinstance(value, EvidenceFrame):
            return replace(value, data=anonymous_frame(value.data, self._addresses))
        if isinstance(value, Member):
            return self._member(value)
        if is_dataclass(value) and not isinstance(value, type):
            return self._fields(value)
        if isinstance(value, Mapping):
            return {self._value(key, None): self._value(item, text) for key, item in value.items()}
        if isinstance(value, AbstractSet):
            return frozenset(self._value(item, text) for item in value)
        if isinstance(value, (tuple, list)):
            return tuple(self._value(item, text) for item in value)
        return value

    def _fields(self, value: Any) -> Any:
        kind, changed = type(value), {}
        for member in fields(value):
            field, held = (kind, member.name), getattr(value, member.name)
            changed[member.name] = self.by_node(held) if field in BY_NODE else self._value(held, self._texts.get(field))
        return replace(value, **changed)

    def _member(self, member: Member) -> Member:
        names = self._names
        labels = {names.label(name): names.label_value(value) for name, value in member.labels.items()}
        unmanaged = self._value(member.unmanaged, None)
        return replace(member, name=names.node(member.name), labels=labels, unmanaged=unmanaged)
