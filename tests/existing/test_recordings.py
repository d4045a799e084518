"""What real clusters showed, through the API: every state is read as what it is."""

from __future__ import annotations

import pytest

from pytest_ciliumwg.errors import ProviderError
from pytest_ciliumwg.model.cluster import IPFamily
from tests.apidouble.recorded import NODE
from tests.existing.conftest import Connect, MakeDouble

ON = ["v1.13/on", "v1.13/dual", "v1.14/on", "v1.15/on", "v1.15/dual", "v1.15/node-encryption", "v1.15/vxlan"]
OFF = ["v1.13/off", "v1.13/off-fresh", "v1.15/off"]
VERSIONS = {"v1.13": "1.13.0-rc3", "v1.14": "1.14.0-rc.0", "v1.15": "1.15.0-pre.3"}


@pytest.mark.thorough(but=("v1.13/dual", "v1.15/vxlan"))
@pytest.mark.parametrize("state", ON)
def test_healthy(recorded: MakeDouble, connect: Connect, state: str) -> None:
    cluster = connect(recorded(state))
    config = cluster.actual_config()
    assert (config.version, config.encryption) == (VERSIONS[state[:5]], True)
    assert config.node_encryption == (state == "v1.15/node-encryption")
    assert config.routing_mode == ("vxlan" if state == "v1.15/vxlan" else "native")
    assert config.families == (frozenset(IPFamily) if "dual" in state else frozenset({IPFamily.V4}))
    assert len(cluster.nodes()) == len(cluster.test_pods()) == 3
    assert all(node.public_key for node in cluster.nodes())
    seen = cluster.state(NODE)
    assert set(seen.unread) == {"fwmark"}
    assert seen.link is not None
    assert seen.link.kind == "tun"
    assert seen.wireguard is not None
    assert {peer.public_key for peer in seen.peers} == {n.public_key for n in cluster.nodes() if n.name != NODE}
    assert [link.name for link in seen.native_devices] == ["eth0"]
    assert seen.rp_filter == 0
    by_rule = state.startswith("v1.13")
    assert any(rule.table == "201" for rule in seen.rules) == by_rule
    assert any(route.table == "201" for route in seen.routes) == by_rule
    redirected = {redirect.device for redirect in seen.redirects}
    assert redirected == (set() if by_rule else {"eth0"})


@pytest.mark.parametrize("state", OFF)
def test_off(recorded: MakeDouble, connect: Connect, state: str) -> None:
    cluster = connect(recorded(state))
    assert not cluster.actual_config().encryption
    assert cluster.declared.encryption, "what is found never becomes the expectation"
    seen = cluster.state(NODE)
    assert (seen.wireguard, seen.peers, seen.redirects) == (None, (), ())
    assert not any(route.table == "201" for route in seen.routes)
    assert any(rule.table == "201" for rule in seen.rules) == (state == "v1.13/off"), "the rule stays behind"


def test_agents_in_a_crash_loop(recorded: MakeDouble, connect: Connect) -> None:
    double = recorded("v1.13/crash")
    with pytest.raises(
        ProviderError, match=r"agent on node rig-control-plane does not run: CrashLoopBackOff; see `kub"
    ):
        connect(double)
    assert double.ours() == []
