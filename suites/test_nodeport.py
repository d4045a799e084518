"""Traffic of pods to NodePorts: of their own node, of the node where the Service's pod is, and of a third one."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.checks.paths import BY_TRANSPORT, CUSTODY, PathChecks
from pytest_ciliumwg.model.traffic import Protocol

NODEPORT = 'documentation, "Which traffic is encrypted": pod to remote pod by a Service other than ClusterIP'


@pytest.mark.ciliumwg_check("nodeport.delivered", source=NODEPORT, profile="extended")
@BY_TRANSPORT
def test_delivered(of_path: PathChecks, protocol: Protocol) -> None:
    """Every message of a pod to a NodePort, by whichever node, is answered by the Service's pod on another node."""
    of_path.delivered("pod-to-nodeport", protocol, "The Service cannot be reached by its NodePort.")


@pytest.mark.ciliumwg_check("nodeport.no-cleartext", source=NODEPORT, profile="extended")
@BY_TRANSPORT
def test_no_cleartext(of_path: PathChecks, protocol: Protocol) -> None:
    """Nothing that a pod sends to a NodePort whose pod is on another node is in cleartext, where that is promised."""
    of_path.no_cleartext("pod-to-nodeport", protocol)


@pytest.mark.ciliumwg_check("nodeport.custody", source=CUSTODY, profile="extended")
@BY_TRANSPORT
def test_chain_of_custody(of_path: PathChecks, protocol: Protocol) -> None:
    """What a pod sends to a NodePort goes into cilium_wg0 and comes out on the node of the Service's pod."""
    of_path.custody("pod-to-nodeport", protocol)
