"""What the catalogue says of changes, which everything else goes by."""

from __future__ import annotations

from pytest_ciliumwg.changes.catalogue import CHANGE_NAMES, DISRUPTIONS, observation, upgrade

STAYS = {"node-drained", "node-removed"}


def test_all_but_two_disruptions_undo_themselves() -> None:
    assert {change.name for change in DISRUPTIONS if not change.undoes_itself} == STAYS
    assert not upgrade("1.17", "1.18").undoes_itself
    assert not observation(5.0).undoes_itself


def test_what_stays_is_undone_by_a_later_change_that_is_compared_with_it() -> None:
    compared = {change.name: change.compared_with for change in DISRUPTIONS if change.compared_with}
    assert compared.keys() == {"node-added"}
    assert set(compared["node-added"]) == STAYS
    assert all(CHANGE_NAMES.index(name) < CHANGE_NAMES.index("node-added") for name in STAYS)


def test_only_upgrades_bring_a_version() -> None:
    assert not [change.name for change in DISRUPTIONS if change.version]
    assert upgrade("1.17", "1.18").version == upgrade("1.19", "1.18").version == "1.18"


def test_a_way_back_says_so_whoever_asked_for_it() -> None:
    assert upgrade("1.17", "1.18").name == "upgraded-to-1.18"
    for before, after in (("1.18", "1.17"), ("1.18", "1.18.3"), ("1.18.14", "1.18.12")):
        change = upgrade(before, after)
        assert change.name == f"downgraded-to-{after}"
        assert change.does == f"takes Cilium back to {after} on all nodes"
