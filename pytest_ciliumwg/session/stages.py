"""The stages of a run: the cluster as it is, and after each change. In each of them the whole suite has to pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_ciliumwg.changes.catalogue import DISRUPTIONS, Change, by_names, observation, on, upgrade
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.session.opening import nodes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage."""

    name: str
    """As in the ids of tests and in reports."""
    change: Change | None = None
    """The change that leads to it; None for the first stages."""
    untouched: bool = False
    """Whether it is the cluster before anything of ours was in it: it has only the checks that one look decides."""
    implied: bool = False
    """Whether the ids of its tests leave its name out: it is the only one in which all checks run."""

    def __str__(self) -> str:
        return self.name


UNTOUCHED = Stage(name="untouched", untouched=True)
INITIAL = Stage(name="initial")
_FOUND_AS_IT_IS = ("existing", "kind")
"""The providers that put agents into a cluster that stands already."""


def stages_of(settings: Settings) -> tuple[Stage, ...]:
    """The stages that settings ask for, in their order."""
    changes = [change for change in wanted_changes(settings) if not left_out(change, settings)]
    initial = INITIAL if changes else replace(INITIAL, implied=True)
    untouched = (UNTOUCHED,) if settings.provider in _FOUND_AS_IT_IS else ()
    return (*untouched, initial, *(Stage(name=change.name, change=change) for change in changes))


def wanted_changes(settings: Settings) -> Iterator[Change]:
    """The changes that settings ask for, also those that such a cluster cannot have."""
    yield from upgrades(settings.upgrade, downgrade=settings.downgrade)
    if settings.observe is not None and not settings.upgrade:
        yield observation(settings.observe)
    if "disruptive" in settings.profiles:
        yield from by_names(settings.changes) if settings.changes else DISRUPTIONS


def left_out(change: Change, settings: Settings) -> str:
    """Why a change is not made; empty when it is."""
    nodes = None if settings.provider == "existing" else nodes_of(settings)
    return change.left_out(settings.provider, nodes)


def upgrades(versions: Sequence[str], *, downgrade: bool) -> Iterator[Change]:
    """From the first version to each following one, and the same way back."""
    way = (*versions, *(reversed(versions[:-1]) if downgrade else ()))
    yield from itertools.starmap(upgrade, itertools.pairwise(way))


def version_path(settings: Settings) -> tuple[str, ...]:
    """All versions of an upgrade in their order, the present one first."""
    return (*settings.upgrade, *(reversed(settings.upgrade[:-1]) if settings.downgrade else ()))


def hit_node(nodes: Sequence[str]) -> str:
    """The node that changes of one node hit: the last under test, because kind's control plane comes first."""
    return nodes[-1]


def announcement(settings: Settings, node: str) -> Iterator[str]:
    """What will be done to a cluster, a line each; nothing where nothing is changed. `node` is the one that is hit."""
    changes = list(wanted_changes(settings))
    if any(change.kind != "none" for change in changes):
        yield "THIS RUN CHANGES THE CLUSTER, and after each change runs all checks again:"
    for change in changes:
        why_not = left_out(change, settings)
        yield f"  {change.name}: " + (f"left out, {why_not}" if why_not else on(change, node).does)
