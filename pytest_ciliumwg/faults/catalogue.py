"""What a fault is, the catalogue of all, and how `NAME[@NODE]` becomes an injection."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode, LabSpec, node_name

Inject = Callable[[Lab, LabNode], None]
Default = Literal["all nodes", "the first worker"]
Steering = Literal["rule", "redirect"]
BOTH: tuple[Steering, ...] = ("rule", "redirect")
Names = Literal["node", "pair", "either", "cluster"]
FIRST_WORKER = 1
"""The first worker's place among the nodes."""
ALL = "all"
"""As a node's name: every node."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Checks that a fault may make inconclusive, but that must not fail."""

    pattern: str


Consequence = str | Doubt
"""A pattern of checks that may fail or be inconclusive in consequence of a fault; or only be inconclusive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way in which a cluster can be wrong; it acts on the kernel's state or on packets, never on results."""

    name: str
    description: str
    shows: str
    """What a real cluster with this fault would show."""
    source: str
    """Where this has happened, or how it can."""
    default: Default
    """Which nodes it hits when none is named."""
    catcher: str
    """The check that has to fail: its id, or its id with parameters such as `wire.no-cleartext[v6-udp]`."""
    also: tuple[Consequence, ...]
    """What other checks may show; no other may."""
    leaks: frozenset[Steering]
    """The steering kinds with which our packets are then in cleartext on a watched wire; with others none may be."""
    names: Names
    """What a finding has to name: the faulty node, it and the next one, one of the two, or nothing in particular."""
    steering: Steering | None
    """The only steering kind with which it can exist; None: both."""
    needs: Callable[[Expectations], bool] | None
    """Whether a version is such that the fault means something; None: every version is."""
    seconds: float
    """Seconds that the injection takes."""
    families: frozenset[IPFamily]
    """Families without which it means nothing."""
    devices: tuple[str, ...]
    """Native devices that the lab must have."""
    node_encryption: bool
    """Whether the lab must have node encryption."""
    strict_egress: bool
    """Whether the lab must have the strict mode for what leaves."""
    extended: bool
    """Whether the lab must have what the profile extended needs, whose check catches it."""
    during: str
    """The change during which it acts, by its operation's name; empty: it is a fault of a cluster that stands."""
    privileged: bool
    """Whether it needs real root: an ordinary user's kernel rights are not enough."""
    inject: Inject

    @property
    def check_id(self) -> str:
        """The id of the check that has to fail, without parameters."""
        return self.catcher.partition("[")[0]

    def targets(self, layout: Sequence[LabNode], node: str | None) -> tuple[LabNode, ...]:
        """The nodes that it hits, of these; `parse` has made sure that there is such a node."""
        if node == ALL or (node is None and self.default == "all nodes"):
            return tuple(layout)
        return tuple(candidate for candidate in layout if candidate.name == (node or layout[FIRST_WORKER].name))

    def exists_with(self, expected: Expectations) -> bool:
        """Whether a version and configuration can have this fault."""
        return self.steering in (None, expected.steering) and (self.needs is None or self.needs(expected))

    def check(self, spec: LabSpec) -> None:
        """Refuse a lab in which the fault means nothing.

        Raises:
            ProviderError: the lab has another steering kind, or lacks a family.
        """
        if self.privileged and os.geteuid():
            raise ProviderError(f"the fault {self.name} needs real root: it loads programs into the kernel")
        if self.extended and not spec.extended:
            profile = "--ciliumwg-profile=core,extended"
            raise ProviderError(f"the fault {self.name} is of a path that the profile extended tests: choose {profile}")
        expected = spec.expectations()
        if self.steering not in (None, expected.steering):
            raise ProviderError(
                f"the fault {self.name} needs a Cilium that steers by {self.steering}; "
                f"Cilium {spec.cilium_version} steers by {expected.steering}"
            )
        if not self.exists_with(expected):
            raise ProviderError(f"the fault {self.name} means nothing with Cilium {spec.cilium_version}")
        if missing := self.families - spec.families:
            names = " and ".join(sorted(family.value for family in missing))
            raise ProviderError(f"the fault {self.name} needs the IP family {names}, which the lab does not have")


FAULTS: dict[str, Fault] = {}
"""All faults by name."""


def fault(
    name: str,
    *,
    description: str,
    shows: str,
    source: str,
    catcher: str,
    also: Iterable[Consequence] = (),
    leaks: Iterable[Steering] = (),
    names: Names = "node",
    default: Default = "the first worker",
    steering: Steering | None = None,
    needs: Callable[[Expectations], bool] | None = None,
    families: Iterable[IPFamily] = (),
    devices: tuple[str, ...] = ("eth0",),
    seconds: float = 0.0,
    node_encryption: bool = False,
    strict_egress: bool = False,
    extended: bool = False,
    during: str = "",
    privileged: bool = False,
) -> Callable[[Inject], Inject]:
    """Put a function into the catalogue; it is called once for each node that the fault hits.

    Raises:
        ValueError: there is a fault of that name already.
    """
    if name in FAULTS:
        raise ValueError(f"there are two faults of the name {name!r}")

    def register(inject: Inject) -> Inject:
        FAULTS[name] = Fault(
            name=name,
            description=description,
            shows=shows,
            source=source,
            catcher=catcher,
            also=tuple(also),
            leaks=frozenset(leaks),
            names=names,
            default=default,
            steering=steering,
            needs=needs,
            seconds=seconds,
            families=frozenset(families),
            devices=devices,
            node_encryption=node_encryption,
            strict_egress=strict_egress,
            extended=extended,
            during=during,
            privileged=privileged,
            inject=inject,
        )
        return inject

    return register


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault to inject, and the node to inject it on."""

    fault: Fault
    node: str | None

    def apply(self, lab: Lab) -> None:
        """Inject it.

        Raises:
            ProviderError: a command failed.
        """
        for target in self.fault.targets(lab.layout, self.node):
            self.fault.inject(lab, target)

    def __str__(self) -> str:
        where = "on all nodes" if self.node == ALL else f"on {self.node or self.fault.default}"
        return f"{self.fault.name} {where}: {self.fault.description}"


def parse(text: str, nodes: int) -> Injection:
    """Read `NAME`, `NAME@NODE` or `NAME@all`.

    Raises:
        ProviderError: no such fault or node.
    """
    name, at, node = text.strip().partition("@")
    if name not in FAULTS:
        raise ProviderError(f"there is no fault {name!r}; the faults are {', '.join(sorted(FAULTS))}")
    names = [node_name(index) for index in range(nodes)]
    if at and node not in (*names, ALL):
        raise ProviderError(f"the fault {name} cannot hit {node!r}: the lab's nodes are {', '.join(names)}")
    return Injection(FAULTS[name], node if at else None)


def resolve(spec: LabSpec, faults: Iterable[str]) -> tuple[tuple[Injection, ...], LabSpec]:
    """The faults of these names, and the spec of a lab with the native devices and options that they need.

    Raises:
        ProviderError: a fault or node is unknown, or such a lab cannot have the fault.
    """
    injections = tuple(parse(text, spec.nodes) for text in faults)
    for injection in injections:
        injection.fault.check(spec)
    devices = max([spec.devices, *(injection.fault.devices for injection in injections)], key=len)
    encrypting = spec.node_encryption or any(injection.fault.node_encryption for injection in injections)
    strict = spec.strict_egress or any(injection.fault.strict_egress for injection in injections)
    return injections, replace(spec, devices=devices, node_encryption=encrypting, strict_egress=strict)
