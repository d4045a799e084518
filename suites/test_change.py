"""While the cluster changes: under one watch that begins before the change and ends after it."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.changes.apply import ChangeResult, Observation
from pytest_ciliumwg.changes.fingerprint import differences, place_of
from pytest_ciliumwg.changes.proof import proof_of
from pytest_ciliumwg.checks.helpers import (
    ANOTHER_WAY,
    LEAK,
    ONLY_REPORTED,
    note_foreign,
    note_late,
    note_quoted,
    refuse_pods_in_clear,
)
from pytest_ciliumwg.checks.verify import Verify
from pytest_ciliumwg.diagnosis.leaks import leaks_by_flow
from pytest_ciliumwg.model.place import Place
from pytest_ciliumwg.options.settings import Settings
from pytest_ciliumwg.verdict.custody_over_time import bypasses, unproven
from pytest_ciliumwg.verdict.other_pods_over_time import in_clear
from pytest_ciliumwg.verdict.other_pods_over_time import unproven as other_pods_unproven
from pytest_ciliumwg.verdict.timeline import (
    answered_without_tunnel,
    blind_intervals,
    frames_in_clear,
    outages,
    sounding,
    unwatchable,
)


def watched(change: ChangeResult, verify: Verify) -> Observation | None:
    """What was seen of the change; None is noted as unmeasured."""
    if change.unavailable:
        verify.unsupported(Place.of_change(change.change.name), change.error)
    elif change.watched is None:
        verify.unmeasured(Place.of_change(change.change.name), f"it was not made: {change.error}")
    return change.watched


@pytest.mark.ciliumwg_check(
    "change.done", profile="disruptive", source="design: a change that did not happen proves nothing"
)
def test_done(change: ChangeResult, verify: Verify) -> None:
    """The change was made, and has shown in the cluster."""
    name = change.change.name
    if change.unavailable:
        verify.unsupported(Place.of_change(name), change.error)
        return
    verify(not change.error, where=Place.of_change(name), expected="it is made", seen=change.error or "it was")
    for proof in proof_of(change):
        verify(
            proof.holds,
            where=proof.where.under(name),
            expected=proof.expected,
            seen=proof.seen,
            meaning="What was watched was not this change.",
        )


@pytest.mark.ciliumwg_check(
    "change.no-cleartext",
    profile="disruptive",
    source="recordings: agent restarts and upgrades leak for seconds (1.13); CVE-2025-32793",
)
def test_no_cleartext(change: ChangeResult, verify: Verify) -> None:
    """At no time is a packet between pods in cleartext, unless the change takes the tunnel away on purpose."""
    if (seen := watched(change, verify)) is None:
        return
    timeline, tolerance = seen.timeline, seen.tolerance
    note_quoted(verify, timeline.quoted)
    note_foreign(verify, timeline.counted, "flows")
    found = list(leaks_by_flow(timeline))
    for where, told in found:
        if tolerance.clear_reported:
            verify.unsupported(where, f"in cleartext: {told}; {tolerance.reason}")
        else:
            verify(False, where=where, expected="encrypted all the time", seen=told, meaning=LEAK)
    blind = blind_intervals(timeline, change.away)
    for where, why in (*unwatchable(timeline), *blind, *answered_without_tunnel(timeline)):
        verify.unmeasured(where, why)
    if not found:
        for flow in sounding(timeline):
            verify(True, where=Place.of_flow(flow), expected="encrypted all the time", seen="nothing in cleartext")


@pytest.mark.ciliumwg_check(
    "change.strict",
    profile="disruptive",
    source="Cilium's strict mode: drop reason 195, `Traffic is unencrypted`; cilium-cli deletes ipcache entries for it",
)
def test_strict(change: ChangeResult, verify: Verify) -> None:
    """With the strict mode for what leaves, Cilium drops what it does not encrypt, and counts it as that."""
    name = change.change.name
    if not change.change.meets_strict_mode:
        verify.unsupported(Place.of_change(name), "it brings nothing before the strict mode that is not encrypted")
        return
    if (seen := watched(change, verify)) is None:
        return
    if seen.tolerance.clear_reported:
        frames = frames_in_clear(seen.timeline.clear)
        verify.unsupported(Place.of_change(name), f"no strict mode is declared: {frames} frames left in cleartext")
        return
    place = Place.of_node(change.node).under(name)
    if seen.unencrypted_drops is None:
        verify.unmeasured(place, "its agent does not tell what was dropped (`bpf metrics list`)")
        return
    verify(
        seen.unencrypted_drops > 0,
        where=place,
        expected="packets dropped for `Traffic is unencrypted`",
        seen=f"{seen.unencrypted_drops} such packets",
        meaning="What kept these packets from leaving, if anything, was not the strict mode.",
    )


@pytest.mark.ciliumwg_check(
    "change.custody", profile="disruptive", source="design: a chain of custody for every flow, at every moment"
)
def test_custody(change: ChangeResult, verify: Verify) -> None:
    """As much of each flow as was answered went into cilium_wg0 on the one node and came out of it on the other."""
    if (seen := watched(change, verify)) is None:
        return
    timeline = seen.timeline
    another_way = dict(bypasses(timeline))
    for where, why in another_way.items():
        verify(False, where=where, expected="all that was answered passes the tunnel", seen=why, meaning=ANOTHER_WAY)
    for where, why in unproven(timeline, change.away):
        verify.unmeasured(where, why)
    for flow in sounding(timeline):
        if (where := Place.of_flow(flow)) not in another_way:
            verify(True, where=where, expected="all that was answered passes the tunnel", seen="it did")


@pytest.mark.ciliumwg_check(
    "change.other-pods",
    profile="disruptive",
    source="CVE-2025-32793: pods that come and go leak; test pods, which stay, do not show it",
)
def test_other_pods(change: ChangeResult, settings: Settings, verify: Verify) -> None:
    """Nothing that any other pod sends to a pod on another node is in cleartext, also of pods that come and go."""
    if settings.other_pods == "off":
        verify.unsupported(Place.of_change(change.change.name), "left out by --ciliumwg-other-pods=off")
        return
    if (seen := watched(change, verify)) is None:
        return
    only_told = seen.tolerance.reason if seen.tolerance.clear_reported else ""
    if settings.other_pods == "report":
        only_told = ONLY_REPORTED
    note_foreign(verify, seen.timeline.counted, "pods")
    found = list(in_clear(seen.timeline))
    refuse_pods_in_clear(verify, found, only_told)
    for where, why in other_pods_unproven(seen.timeline, change.away):
        verify.unmeasured(where, why)
    if not found:
        verify(True, where=Place.of_change(change.change.name), expected="nothing in cleartext", seen="nothing")


@pytest.mark.ciliumwg_check(
    "change.loss",
    profile="disruptive",
    source="issues 31979 and 33159: what an agent's start may interrupt, and since when not",
)
def test_loss(change: ChangeResult, verify: Verify) -> None:
    """No flow is unanswered for longer than this change may take in this version, and no other flow at all."""
    if (seen := watched(change, verify)) is None:
        return
    note_late(verify, seen.timeline)
    for flow, longest in outages(seen.timeline):
        touched = change.change.everywhere or change.node in flow.pair
        limit = seen.tolerance.outage_of(flow, touched)
        if limit is None:
            continue
        seconds = longest.seconds if longest else 0.0
        verify(
            seconds <= limit,
            where=Place.of_flow(flow),
            expected=f"unanswered for at most {limit:g} s" + (f": {seen.tolerance.reason}" if touched else ""),
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
def test_settled(change: ChangeResult, verify: Verify) -> None:
    """Soon after the change every node has each other node's published key as a peer, no more, and all flows pass."""
    if (seen := watched(change, verify)) is None:
        return
    convergence = seen.convergence
    verify(
        convergence.after is not None,
        where=Place.of_change(change.change.name),
        expected=f"all as it has to be within {convergence.limit:g} s",
        seen="; ".join(convergence.wrong[:5]) or f"after {convergence.after or 0:.1f} s",
    )


@pytest.mark.ciliumwg_check(
    "change.restored", profile="disruptive", source="design: everything that a check changes is restored"
)
def test_restored(change: ChangeResult, verify: Verify) -> None:
    """After a change that undoes itself, or others, nodes, agents, devices, rules, routes and peers are as before."""
    if (seen := watched(change, verify)) is None:
        return
    place = Place.of_change(change.change.name)
    if not change.change.undoes_itself:
        verify.unsupported(place, "it is meant to leave the cluster in another state")
        return
    if seen.after is None:
        verify.unmeasured(place, "the cluster could not be looked at (see change.settled)")
        return
    before = change.back_to or seen.before
    changed = list(differences(before.fingerprint, seen.after.fingerprint))
    for where, was, now in changed:
        verify(False, where=place_of(where), expected=was, seen=now, meaning="The change has left something behind.")
    for where in seen.after.fingerprint.keys() - {where for where, _, _ in changed}:
        verify(True, where=place_of(where), expected="as before", seen="as before")
