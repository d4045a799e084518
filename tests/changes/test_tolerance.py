"""What a change may cost depends on the version, and on what is seen to happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_ciliumwg.changes.catalogue import DISRUPTIONS, observation, upgrade
from pytest_ciliumwg.changes.tolerance import NO_LOSS, Tolerance, tolerance
from pytest_ciliumwg.expect import expectations_for
from pytest_ciliumwg.model.cluster import CiliumConfig, IPFamily
from pytest_ciliumwg.model.traffic import Protocol
from tests.watch.made import flows, kernel, timeline

BY_NAME = {change.name: change for change in (*DISRUPTIONS, upgrade("1.17", "1.18"), observation(5.0))}


def of(name: str, version: str, *, events: Any = (), **config: Any) -> Tolerance:
    declared = CiliumConfig(version=version, encryption=True, families=frozenset({IPFamily.V4}), **config)
    return tolerance(BY_NAME[name], expectations_for(declared), timeline(events=tuple(events)))


def test_every_change_has_a_tolerance() -> None:
    for name in BY_NAME:
        assert of(name, "1.18.3").other_outage >= NO_LOSS


def test_a_restart_loses_nothing_from_1_16_2() -> None:
    assert of("agent-restart", "1.16.1").hit_outage == 30.0
    assert of("agent-restart", "1.16.2").hit_outage == NO_LOSS
    assert of("agent-restart", "1.16.1").other_outage == NO_LOSS


def test_unless_its_device_is_seen_to_die_with_the_userspace_fallback() -> None:
    died = [kernel(150.0, "cilium_wg0", "removed")]
    assert of("agent-restart", "1.16.2", events=died).hit_outage == NO_LOSS
    assert of("agent-restart", "1.16.2", userspace_fallback=True).hit_outage == NO_LOSS
    others = [kernel(150.0, "cilium_wg0", "set down"), kernel(150.0, "a filter of cilium_wg0", "removed")]
    assert of("agent-restart", "1.16.2", events=others, userspace_fallback=True).hit_outage == NO_LOSS
    assert of("agent-restart", "1.16.2", events=died, userspace_fallback=True).hit_outage == 30.0


def test_churn() -> None:
    assert of("pod-churn", "1.16.2").hit_outage == 1.0
    assert of("pod-churn", "1.16.3").hit_outage == NO_LOSS


@pytest.mark.parametrize("name", ["device-down", "port-blocked", "ipcache-lost"])
def test_only_the_strict_mode_promises_to_fail_closed(name: str) -> None:
    assert of(name, "1.18.3").clear_reported
    assert not of(name, "1.18.3", strict_egress=True).clear_reported
    assert of(name, "1.20.3", strict_ingress=True).clear_reported


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - {"device-down", "port-blocked", "ipcache-lost"}))
def test_nothing_else_may_leak(name: str) -> None:
    assert not of(name, "1.13.3").clear_reported


def test_outage_of_a_flow() -> None:
    lossy = of("agent-restart", "1.16.1")
    by_protocol = {flow.protocol: flow for flow in flows().values() if not flow.fresh}
    assert lossy.outage_of(by_protocol[Protocol.UDP], hit=True) == 30.0
    assert lossy.outage_of(by_protocol[Protocol.TCP], hit=True) == 61.0, "its repetitions come at doubled pauses"
    assert lossy.outage_of(by_protocol[Protocol.TCP], hit=False) == NO_LOSS
    assert replace(lossy, hit_outage=None).outage_of(by_protocol[Protocol.TCP], hit=True) is None
