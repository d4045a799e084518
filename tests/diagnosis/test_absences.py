"""What was missing on a node, and when, follows from the parts of events and not from their words."""

from __future__ import annotations

from dataclasses import replace

from pytest_ciliumwg.diagnosis.absences import absences
from tests.watch.made import event, kernel


def test_absences() -> None:
    events = (
        kernel(1.0, "cilium_wg0", "set down"),
        kernel(2.0, "cilium_wg0", "set up", "two"),
        kernel(3.0, "cilium_wg0", "set up"),
        kernel(4.0, "an egress filter of eth0", "removed", count=12),
        event(5.0, "the node became Ready", kind="node-ready"),
    )
    found = [(absence.what, absence.first_at, absence.last_at) for absence in absences(events, 9.0)]
    assert found == [
        ("cilium_wg0 was down", 1.0, 3.0),
        ("an egress filter of eth0 was missing", 4.0, 9.0),
    ]


def test_words_alone_say_nothing() -> None:
    assert not list(absences((event(1.0, "cilium_wg0 was removed"),), 9.0))
    spoken = replace(kernel(1.0, "cilium_wg0", "removed"), kind="change")
    assert not list(absences((spoken,), 9.0))


def test_only_the_same_thing_on_the_same_node_ends_it() -> None:
    gone = kernel(1.0, "cilium_wg0", "removed")
    others = (
        kernel(2.0, "cilium_wg0", "created", "two"),
        kernel(3.0, "lxc1", "created"),
        kernel(4.0, "cilium_wg0", "set up"),
        kernel(5.0, "cilium_wg0", "renamed"),
    )
    (absence,) = absences((gone, *others), 9.0)
    assert absence.last_at == 9.0
    (absence,) = absences((gone, *others, kernel(6.0, "cilium_wg0", "created")), 9.0)
    assert absence.last_at == 6.0
