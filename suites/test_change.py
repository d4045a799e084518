"""While the cluster changes: under one watch that begins before the change and ends after it."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.changes.footprint import differences
from pytest_ciliumwg.changes.perform import Made
from pytest_ciliumwg.changes.proof import proof_of
from pytest_ciliumwg.checks import Verify
from pytest_ciliumwg.lasting.reading import (
    answered_without_tunnel,
    blind_intervals,
    leaks_by_flow,
    outages,
    sounding,
    unwatchable,
)
from pytest_ciliumwg.verifying import LEAK

UNDONE = ("restart", "churn", "rekey", "outage", "node-restart", "node-back")


def need_timeline(change: Made, verify: Verify) -> bool:
    """Whether there is anything to verify."""
    if change.unavailable:
        verify.not_told(change.change.name, change.error)
    elif change.timeline is None:
        verify.cannot(change.change.name, f"it was not made: {change.error}")
    return change.timeline is not None


@pytest.mark.ciliumwg_check(
    "change.done", profile="disruptive", source="design: a change that did not happen proves nothing"
)
def test_done(change: Made, verify: Verify) -> None:
    """The change was made, and has shown in the cluster."""
    name = change.change.name
    if change.unavailable:
        verify.not_told(name, change.error)
        return
    verify(not change.error, where=name, expected="it is made", seen=change.error or "it was")
    for proof in proof_of(change):
        verify(
            proof.holds,
            where=f"{name}, {proof.where}",
            expected=proof.expected,
            seen=proof.seen,
            meaning="What was watched was not this change.",
        )


@pytest.mark.ciliumwg_check(
    "change.no-cleartext",
    profile="disruptive",
    source="recordings: agent restarts and upgrades leak for seconds (1.13); CVE-2025-32793",
)
def test_no_cleartext(change: Made, verify: Verify) -> None:
    """At no time, before, during and after the change, a packet between pods is in clear on any native device."""
    if not need_timeline(change, verify) or change.timeline is None or change.tolerance is None:
        return
    found = list(leaks_by_flow(change.timeline))
    for where, told in found:
        if change.tolerance.clear_reported:
            verify.not_told(where, f"in clear: {told}; {change.tolerance.reason}")
        else:
            verify(False, where=where, expected="encrypted all the time", seen=told, meaning=LEAK)
    for where, why in (*unwatchable(change.timeline), *blind_intervals(change.timeline, _away(change))):
        verify.cannot(where, why)
    for where, why in answered_without_tunnel(change.timeline):
        verify.cannot(where, why)
    if not found:
        for flow in sounding(change.timeline):
            verify(True, where=str(flow), expected="encrypted all the time", seen="nothing in clear")


@pytest.mark.ciliumwg_check(
    "change.loss",
    profile="disruptive",
    source="issues 31979 and 33159: what an agent's start may interrupt, and since when not",
)
def test_loss(change: Made, verify: Verify) -> None:
    """No flow is unanswered for longer than this change may take in this version, and no other flow at all."""
    if not need_timeline(change, verify) or change.timeline is None or change.tolerance is None:
        return
    for flow, longest in outages(change.timeline):
        touched = change.change.everywhere or change.node in flow.pair
        limit = change.tolerance.outage_of(flow, touched)
        if limit is None:
            continue
        seconds = longest.seconds if longest else 0.0
        verify(
            seconds <= limit,
            where=str(flow),
            expected=f"unanswered for at most {limit:g} s" + (f": {change.tolerance.reason}" if touched else ""),
            seen=""
            if longest is None
            else f"{longest.lost} messages in {seconds:.2f} s ({longest.error or 'no answer'})",
            meaning="Pods on these nodes could not talk.",
        )


@pytest.mark.ciliumwg_check(
    "change.settled",
    profile="disruptive",
    source="issues 20925, 25492, 31921: peers that are missing, stale or have an old key",
)
def test_settled(change: Made, verify: Verify) -> None:
    """Soon after the change every node has each other node's published key as a peer, no more, and all flows pass."""
    if not need_timeline(change, verify):
        return
    verify(
        change.settled_after is not None,
        where=change.change.name,
        expected=f"all as it has to be within {change.settle_limit:g} s",
        seen="; ".join(change.unsettled[:5]) or f"after {change.settled_after or 0:.1f} s",
    )


@pytest.mark.ciliumwg_check(
    "change.restored", profile="disruptive", source="design: everything that a check changes is restored"
)
def test_restored(change: Made, verify: Verify) -> None:
    """After a change that undoes itself, or others, nodes, agents, devices, rules, routes and peers are as before."""
    if not need_timeline(change, verify):
        return
    if change.change.kind not in UNDONE:
        verify.not_told(change.change.name, "it is meant to leave the cluster in another state")
        return
    before = change.back_to or change.before
    if before is None or change.after is None:
        verify.cannot(change.change.name, "the cluster could not be looked at (see change.settled)")
        return
    changed = list(differences(before.footprint, change.after.footprint))
    for where, was, now in changed:
        verify(False, where=where, expected=was, seen=now, meaning="The change has left something behind.")
    for where in change.after.footprint.keys() - {where for where, _, _ in changed}:
        verify(True, where=where, expected="as before", seen="as before")


def _away(change: Made) -> frozenset[str]:
    """The nodes that may be blind, because they were away."""
    away = change.tolerance is not None and change.tolerance.away
    return frozenset({change.node}) if away else frozenset()
