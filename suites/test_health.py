"""Traffic of pods to Cilium's health endpoints on other nodes, which have addresses like pods and are none."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.checks.paths import CUSTODY, PathChecks
from pytest_ciliumwg.model.traffic import Protocol

HEALTH = "CVE-2024-25630 (GHSA-7496-fgv9-xw82): to 1.14.6 answers of health endpoints were in cleartext"


@pytest.mark.ciliumwg_check("health.delivered", source=HEALTH, profile="extended")
def test_delivered(of_path: PathChecks) -> None:
    """Every echo request of a pod to the health endpoint of another node is answered."""
    of_path.delivered("pod-to-health", Protocol.ICMP, "Cilium's own health checks cannot tell whether nodes are well.")


@pytest.mark.ciliumwg_check("health.no-cleartext", source=HEALTH, profile="extended")
def test_no_cleartext(of_path: PathChecks) -> None:
    """Nothing between a pod and the health endpoint of another node is in cleartext, where that is promised."""
    of_path.no_cleartext("pod-to-health", Protocol.ICMP)


@pytest.mark.ciliumwg_check("health.custody", source=CUSTODY, profile="extended")
def test_chain_of_custody(of_path: PathChecks) -> None:
    """What a pod sends to a health endpoint goes into cilium_wg0 and comes out on the other node; so do answers."""
    of_path.custody("pod-to-health", Protocol.ICMP)
