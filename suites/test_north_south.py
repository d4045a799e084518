"""Traffic from outside of the cluster that a node forwards to a pod on another node.

Between the client and the first node it is in cleartext by design; what counts is the way between the nodes.
"""

from __future__ import annotations

import pytest

from pytest_ciliumwg.checks.paths import BY_TRANSPORT, CUSTODY, PathChecks
from pytest_ciliumwg.model.traffic import Protocol

FORWARDED = 'documentation, "Which traffic is encrypted": client outside; issue 33690: nobody tests it'


@pytest.mark.ciliumwg_check("north-south.delivered", source=FORWARDED, profile="extended")
@BY_TRANSPORT
def test_delivered(of_path: PathChecks, protocol: Protocol) -> None:
    """Every message from outside to a node's NodePort is answered by a pod on another node."""
    of_path.delivered("north-south", protocol, "The Service cannot be reached from outside by this node.")


@pytest.mark.ciliumwg_check("north-south.no-cleartext", source=FORWARDED, profile="extended")
@BY_TRANSPORT
def test_no_cleartext(of_path: PathChecks, protocol: Protocol) -> None:
    """What a node forwards from outside to another node's pod is not in cleartext, where that is promised."""
    of_path.no_cleartext("north-south", protocol)


@pytest.mark.ciliumwg_check("north-south.custody", source=CUSTODY, profile="extended")
@BY_TRANSPORT
def test_chain_of_custody(of_path: PathChecks, protocol: Protocol) -> None:
    """What a node forwards from outside goes into cilium_wg0 there and comes out on the node of the pod."""
    of_path.custody("north-south", protocol)
