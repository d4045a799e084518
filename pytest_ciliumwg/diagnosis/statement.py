"""What the checks of a stage say, place by place: the input of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pytest_ciliumwg.model.place import Place

STATE_AREAS = ("config", "device", "steering", "peers", "allowed-ips", "state")
"""The areas of checks that look at what nodes are, in the order in which one explains the next."""
MEASUREMENT_AREA = "capture"
_OF_NODES = {"size.route-mtu": "state"}
"""Checks that look at what nodes are, and stand in an area that does not."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One place at which a test found its requirement broken, or could not measure it."""

    check: str
    """The check's id."""
    title: str
    """The id with the test's parameters."""
    outcome: Literal["fail", "inconclusive"]
    """Of the test as a whole."""
    place: Place
    said: str
    """What was expected and seen there, or why it could not be measured."""
    meaning: str = ""
    owners: tuple[str, ...] = ()
    """The nodes whose addresses the place names."""

    @property
    def area(self) -> str:
        """What the check looks at: mostly the first part of its id."""
        return _OF_NODES.get(self.check) or self.check.partition(".")[0]

    @property
    def about_state(self) -> bool:
        """Whether it tells that something is wrong with what a node is, so that it can explain what traffic does."""
        return self.area in STATE_AREAS and self.outcome == "fail"

    @property
    def follows(self) -> bool:
        """Whether it could not be measured because of what another check tells, and says which one."""
        return self.outcome == "inconclusive" and "(see " in self.said

    @cached_property
    def nodes(self) -> frozenset[str]:
        """All nodes that it names, by name or by address."""
        return frozenset((*self.place.nodes, *self.owners))

    @property
    def home(self) -> str | None:
        """The node whose state or watch it is about; None where it is about none alone."""
        return self.place.node
