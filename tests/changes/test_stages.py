"""Which stages a run has, and what is said of them before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ciliumwg.changes.catalogue import CHANGE_NAMES, DISRUPTIONS
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.options.table import CHANGES
from pytest_ciliumwg.providers.base import NodeOperations, Operations
from pytest_ciliumwg.session.stages import announcement, stages_of, version_path


def names(**how: Any) -> list[str]:
    return [stage.name for stage in stages_of(Settings(**{"provider": "lab"} | how))]


def test_nothing_is_changed_unless_asked_for() -> None:
    for provider, first in (("kind", ["untouched"]), ("existing", ["untouched"]), ("lab", [])):
        assert names(provider=provider) == [*first, "initial"]
        assert names(provider=provider, profiles=frozenset({"core", "extended"})) == [*first, "initial"]
        assert not list(announcement(Settings(provider=provider), "n"))


def test_the_options_name_all_changes() -> None:
    assert CHANGES == CHANGE_NAMES


def test_every_operation_exists() -> None:
    for change in DISRUPTIONS:
        assert change.operations
        parts = (Operations, NodeOperations)
        assert all(any(hasattr(part, operation) for part in parts) for operation in change.operations)


def test_disruptive() -> None:
    everything = {"profiles": frozenset({"disruptive"})}
    assert names(**everything) == ["initial", *CHANGE_NAMES]
    assert not [name for name in names(provider="existing", **everything) if name.startswith("node-")]
    assert "node-removed" not in names(nodes=2, **everything)
    assert names(changes=("agent-restart",), **everything) == ["initial", "agent-restart"]


def test_a_change_brings_what_it_needs() -> None:
    disruptive = {"profiles": frozenset({"disruptive"})}
    assert names(changes=("node-added",), **disruptive) == ["initial", "node-removed", "node-added"]


def test_upgrades() -> None:
    settings = Settings(provider="lab", upgrade=("1.13", "1.15", "1.18"), downgrade=True)
    assert [stage.name for stage in stages_of(settings)] == [
        "initial",
        "upgraded-to-1.15",
        "upgraded-to-1.18",
        "downgraded-to-1.15",
        "downgraded-to-1.13",
    ]
    assert version_path(settings) == ("1.13", "1.15", "1.18", "1.15", "1.13")


def test_observing() -> None:
    assert names(provider="existing", observe=60.0) == ["untouched", "initial", "observed"]
    upgrade = names(provider="existing", observe=60.0, upgrade=("1.17", "1.18"))
    assert upgrade == ["untouched", "initial", "upgraded-to-1.18"]
    assert "CHANGES" not in "".join(announcement(Settings(provider="existing", observe=60.0), "n"))


def test_announced_first() -> None:
    lines = list(announcement(Settings(provider="existing", profiles=frozenset({"disruptive"})), "last"))
    assert lines[0].startswith("THIS RUN CHANGES THE CLUSTER")
    assert "  agent-restart: deletes the Cilium agent pod of last; its DaemonSet makes a new one" in lines
    assert "  node-restart: left out, it needs a cluster of kind or lab" in lines


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"downgrade": True}, "through which versions"),
        ({"upgrade_command": "x"}, "to which versions"),
        ({"upgrade": ("1.17", "1.18"), "cilium_version": "1.18"}, "begins with 1.17"),
        ({"upgrade": ("1.17", "1.18"), "observe": 5.0}, "nobody else upgrades"),
        ({"upgrade": ("1.17", "1.18"), "observe": 5.0, "upgrade_command": "x", "provider": "existing"}, "either"),
        ({"changes": ("pod-churn",)}, "--ciliumwg-profile=disruptive only"),
    ],
)
def test_contradictions(how: dict[str, Any], said: str) -> None:
    assert said in Settings(**{"provider": "lab"} | how).contradiction()
