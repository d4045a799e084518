"""Checks of our own platform."""

import pytest

from pytest_ciliumwg.api import Observed, Place, Verify


@pytest.mark.ciliumwg_check("ours.private-endpoints", source="our network rules, 7: no tunnel leaves the data centre")
def test_endpoints_are_private(ciliumwg_states: Observed, ciliumwg_verify: Verify) -> None:
    """Every peer is reached at a private address."""
    for state in ciliumwg_states.states("peers"):
        for peer in state.real_peers():
            private = peer.endpoint is not None and peer.endpoint.address.is_private
            ciliumwg_verify(private, where=Place.of_node(state.node), expected="a private address", seen=peer.endpoint)
