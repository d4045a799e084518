"""What a check is: an id, a statement, a source, read from its test's marker and docstring."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import pytest

Subject = Literal["cluster", "measurement"]
Offline = Literal["", "also", "only"]
_OF_ONE_LOOK = frozenset(
    (
        *("observed", "nodes", "pods", "pods_ever", "expected", "family", "verify"),
        *("node_configs", "mtu_bases", "what_it_does", "mesh", "readings"),
        *("ciliumwg_states", "ciliumwg_nodes", "ciliumwg_verify"),
    )
)
"""The fixtures that are to be had before anything is made in a cluster."""
MARKER = "ciliumwg_check"
MARKER_SIGNATURE = 'ciliumwg_check(id, source, profile="core", about="cluster", offline="")'


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One conformance requirement, read from its test's marker and docstring."""

    id: str
    source: str
    profile: str
    about: Subject
    """Of the measurement itself nothing fails: what does not hold there makes the check inconclusive."""
    offline: Offline
    """Whether it can `also` be told from the record of a cluster, or `only` there; empty: see `told_offline`."""
    statement: str
    one_look: bool = False
    """Whether one look at the nodes decides it."""
    about_a_change: bool = False
    """Whether it asserts something about the change before its stage, so that the first stage does not have it."""

    @classmethod
    def of(cls, item: pytest.Item) -> Check | None:
        """The check that a test asserts; None for a test that is no check.

        Raises:
            pytest.UsageError: the marker is not written as MARKER_SIGNATURE.
        """
        mark = item.get_closest_marker(MARKER)
        if mark is None:
            return None
        fields = dict(zip(("id", "source", "profile"), mark.args, strict=False)) | dict(mark.kwargs)
        statement = " ".join((getattr(getattr(item, "function", None), "__doc__", None) or "").split())
        fields = {"profile": "core", "about": "cluster", "offline": ""} | fields
        known = fields.keys() == {"id", "source", "profile", "about", "offline"}
        known = known and fields["about"] in get_args(Subject) and fields["offline"] in get_args(Offline)
        if sys.flags.optimize > 1:
            raise pytest.UsageError("python -OO (PYTHONOPTIMIZE=2) takes away what checks state: run without it")
        if not known or not statement:
            raise pytest.UsageError(f"{item.nodeid}: write the marker as {MARKER_SIGNATURE}, and a docstring")
        about_a_change = "change" in getattr(item, "fixturenames", ())
        one_look = needs_one_look(getattr(item, "function", cls.of))
        return cls(statement=statement, about_a_change=about_a_change, one_look=one_look, **fields)

    @property
    def told_offline(self) -> bool:
        """Whether the record of a cluster can decide it: with what one look decides, or with captures."""
        return bool(self.offline) or self.one_look


def needs_one_look(test: Callable[..., object]) -> bool:
    """Whether a check asks for nothing that one look at the nodes has not: no flows, no agents of ours."""
    wanted = inspect.signature(test).parameters.keys()
    looks_at_nodes = {"observed", "nodes", "ciliumwg_states", "ciliumwg_nodes"}
    return bool(wanted & looks_at_nodes) and wanted <= _OF_ONE_LOOK


_ALIVE = frozenset(("cluster", "route_mtus", "change", "request", "conformance"))
"""The fixtures that are not to be had of a run that is judged again."""


def needs_no_cluster(test: Callable[..., object]) -> bool:
    """Whether all that a check asks for is in the record of a run."""
    wanted = inspect.signature(test).parameters.keys()
    return not wanted & _ALIVE and not any(name.startswith("ciliumwg_") for name in wanted)


def params_of(item: pytest.Item) -> dict[str, str]:
    """The parameters that tell apart the tests of one check, as text; the stage first, where there are several."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return {}
    several = not getattr(callspec.params.get("stage"), "implied", False)
    names = sorted((name for name in callspec.params if several or name != "stage"), key=lambda name: name != "stage")
    return {name: str(getattr(callspec.params[name], "value", callspec.params[name])) for name in names}
