"""Traffic of pods to the cluster's DNS: what they ask for tells whom they are about to talk to."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.checks.paths import BY_TRANSPORT, CUSTODY, PathChecks
from pytest_ciliumwg.model.traffic import Protocol

DNS = 'documentation, "Which traffic is encrypted": pod to ClusterIP; CVE-2024-28250 (GHSA-v6q2-4qr3-5cw6) leaked it'


@pytest.mark.ciliumwg_check("dns.delivered", source=DNS, profile="extended")
@BY_TRANSPORT
def test_delivered(of_path: PathChecks, protocol: Protocol) -> None:
    """Every question that a pod asks the cluster's DNS service is answered by its pod on another node."""
    of_path.delivered("pod-to-dns", protocol, "Pods cannot resolve names.")


@pytest.mark.ciliumwg_check("dns.no-cleartext", source=DNS, profile="extended")
@BY_TRANSPORT
def test_no_cleartext(of_path: PathChecks, protocol: Protocol) -> None:
    """No question to the cluster's DNS on another node, and no answer, is in cleartext on any native device."""
    of_path.no_cleartext("pod-to-dns", protocol)


@pytest.mark.ciliumwg_check("dns.custody", source=CUSTODY, profile="extended")
@BY_TRANSPORT
def test_chain_of_custody(of_path: PathChecks, protocol: Protocol) -> None:
    """Questions to the cluster's DNS go into cilium_wg0 and come out on the node of its pod; so do answers."""
    of_path.custody("pod-to-dns", protocol)
