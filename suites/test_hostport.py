"""Traffic of pods to hostPorts of pods on other nodes: it goes to the node, which leads it to the pod."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.checks.paths import BY_TRANSPORT, CUSTODY, PathChecks
from pytest_ciliumwg.model.traffic import Protocol

HOSTPORT = 'documentation, "Which traffic is encrypted": pod to remote node with node encryption'


@pytest.mark.ciliumwg_check("hostport.delivered", source=HOSTPORT, profile="extended")
@BY_TRANSPORT
def test_delivered(of_path: PathChecks, protocol: Protocol) -> None:
    """Every message of a pod to the hostPort of a pod on another node is answered."""
    of_path.delivered("pod-to-hostport", protocol, "The pod cannot be reached by its hostPort.")


@pytest.mark.ciliumwg_check("hostport.no-cleartext", source=HOSTPORT, profile="extended")
@BY_TRANSPORT
def test_no_cleartext(of_path: PathChecks, protocol: Protocol) -> None:
    """Nothing that a pod sends to a hostPort on another node is in cleartext, where that is promised."""
    of_path.no_cleartext("pod-to-hostport", protocol)


@pytest.mark.ciliumwg_check("hostport.custody", source=CUSTODY, profile="extended")
@BY_TRANSPORT
def test_chain_of_custody(of_path: PathChecks, protocol: Protocol) -> None:
    """What a pod sends to a hostPort goes into cilium_wg0 and comes out on the other node; so do answers."""
    of_path.custody("pod-to-hostport", protocol)
