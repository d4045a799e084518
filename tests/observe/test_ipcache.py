"""The agent's list of its ipcache."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.observe.ipcache import IpcacheEntry, ipcache_from
from pytest_ciliumwg.providers.existing.operations.ipcache import leading_to

from .recordings import agent, recording

POD = ip_address("10.0.1.104")


def entry(prefix: str, identity: int, key: int, endpoint: str) -> IpcacheEntry:
    return IpcacheEntry(network=ip_network(prefix), identity=identity, key=key, tunnel_endpoint=ip_address(endpoint))


def test_what_leads_to_a_pod_from_1_18_on_its_whole_network_too() -> None:
    listed = ipcache_from(agent("v1.21.0-dev/strict", "ipcache.json"))
    assert len(listed) == 14
    assert leading_to([POD], listed) == (
        entry("10.0.1.0/24", 2, 255, "172.18.0.4"),
        entry("10.0.1.104/32", 64046, 255, "172.18.0.4"),
    )


def test_before_1_18_its_address_alone() -> None:
    listed = ipcache_from(recording("v1.14/on/rig-worker/agent/bpf-ipcache.json"))
    pod = next(each for each in listed if each.key and each.tunnel_endpoint != ip_address("0.0.0.0"))
    assert leading_to([pod.network.network_address], listed) == (pod,)


@pytest.mark.parametrize("text", ["", "[]", '{"x/32": ["identity=1 encryptkey=2 tunnelendpoint=1.2.3.4"]}'])
def test_what_is_no_such_list(text: str) -> None:
    with pytest.raises(ObservationError, match="bpf ipcache list"):
        ipcache_from(text)


def test_entries_of_an_unknown_form_are_left_out() -> None:
    assert ipcache_from('{"10.0.0.0/8": ["something new"], "10.0.0.1/32": [], "10.0.0.2/32": 7}') == ()
