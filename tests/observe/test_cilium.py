from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.observe.cilium import (
    EncryptionStatus,
    encryption_from_encrypt_status,
    encryption_from_status_json,
    encryption_from_status_text,
    ipcache_from_agent,
    version_from_agent,
    wireguard_from_debuginfo,
)
from pytest_ciliumwg.observe.wireguard import wireguard_from_dump

from . import recordings

VERSIONS = {"v1.13": "1.13.0-rc3", "v1.14": "1.14.0-rc.0", "v1.15": "1.15.0-pre.3"}
KEY = "X" * 43 + "="


@pytest.mark.parametrize("state", recordings.ON)
def test_three_outputs_say_the_same_of_an_agent_that_encrypts(state: str) -> None:
    found = encryption_from_status_json(recordings.agent(state, "status.json"))
    device, peers = wireguard_from_dump(recordings.agent(state, "wg-show-all-dump.txt"))
    node = {"v1.13": None, "v1.15/node": "Enabled"}.get(state[: 10 if "node" in state else 5], "Disabled")
    assert found == EncryptionStatus(
        mode="wireguard",
        device="cilium_wg0",
        public_key=device.public_key,
        listen_port=51871,
        peers=len(peers),
        node_encryption=node,
    )
    assert encryption_from_status_text(recordings.agent(state, "status.txt")) == found
    assert encryption_from_encrypt_status(recordings.agent(state, "encrypt-status.txt")) == EncryptionStatus(
        mode="wireguard", device="cilium_wg0", public_key=device.public_key, peers=len(peers)
    )


@pytest.mark.parametrize("state", recordings.OFF)
def test_three_outputs_say_the_same_of_an_agent_that_does_not(state: str) -> None:
    disabled = EncryptionStatus(mode="disabled")
    assert encryption_from_status_json(recordings.agent(state, "status.json")) == disabled
    assert encryption_from_status_text(recordings.agent(state, "status.txt")) == disabled
    assert encryption_from_encrypt_status(recordings.agent(state, "encrypt-status.txt")) == disabled


def test_encrypt_status_as_json() -> None:
    interface = {"name": "cilium_wg0", "public-key": KEY, "peer-count": 2, "peers": None}
    text = json.dumps({"mode": "Wireguard", "wireguard": {"interfaces": [interface]}})
    assert encryption_from_encrypt_status(text) == EncryptionStatus(
        mode="wireguard", device="cilium_wg0", public_key=KEY, peers=2
    )


@pytest.mark.parametrize("text", ["", "Encryption: Wireguard\n", "Encryption: Wire", "Interface: cilium_wg0\n", "{"])
def test_encrypt_status_that_is_not_understood(text: str) -> None:
    with pytest.raises(ObservationError, match="encrypt status"):
        encryption_from_encrypt_status(text)


@pytest.mark.parametrize("text", ["", "KVStore: Ok\n", "Encryption: Wireguard [cilium_wg0 (Pubkey: x]\n"])
def test_status_text_that_is_not_understood(text: str) -> None:
    with pytest.raises(ObservationError, match="agent's `status`"):
        encryption_from_status_text(text)


def test_a_status_without_the_device_is_an_error() -> None:
    text = json.dumps({"encryption": {"mode": "Wireguard", "wireguard": {"interfaces": []}}})
    with pytest.raises(ObservationError, match="has no interface cilium_wg0"):
        encryption_from_status_json(text)


@pytest.mark.parametrize("state", recordings.STATES)
def test_the_version_of_every_recording(state: str) -> None:
    expected = VERSIONS[state[:5]]
    assert version_from_agent(recordings.agent(state, "version.json")) == expected
    assert version_from_agent(recordings.agent(state, "version.txt")) == expected


@pytest.mark.parametrize("text", ["", "Client: 1.15.0 abc date\n", '{"Client":{"Version":"1.15.0"}}'])
def test_a_client_alone_is_no_running_agent(text: str) -> None:
    with pytest.raises(ObservationError, match="agent's `version`"):
        version_from_agent(text)


@pytest.mark.parametrize("state", recordings.STATES)
def test_the_ipcache_of_every_recording(state: str) -> None:
    entries = {entry.prefix: entry for entry in ipcache_from_agent(recordings.agent(state, "bpf-ipcache.json"))}
    assert entries[ipaddress.ip_network("0.0.0.0/0")].tunnel_endpoint is None
    pods = [entry for entry in entries.values() if entry.identity > 255 and entry.tunnel_endpoint is not None]
    encrypts = state in recordings.ON and not state.startswith("v1.13")
    assert {entry.encrypt_key for entry in pods} == {255 if encrypts else 0}


def test_an_ipcache_with_a_cluster_and_flags() -> None:
    text = '{"10.0.0.1/32@2": ["identity=9 encryptkey=255 tunnelendpoint=fd00::1 flags=hastunnel"]}'
    (entry,) = ipcache_from_agent(text)
    assert (str(entry.prefix), str(entry.tunnel_endpoint)) == ("10.0.0.1/32", "fd00::1")


@pytest.mark.parametrize("text", ["{}", '{"10.0.0.1/32": []}', '{"10.0.0.1/32": ["identity=9"]}', '{"x": ["a=b"]}'])
def test_an_ipcache_that_is_not_understood(text: str) -> None:
    with pytest.raises(ObservationError, match="bpf ipcache list"):
        ipcache_from_agent(text)


def debuginfo(**peer: Any) -> str:
    members = {"public-key": KEY, "endpoint": "172.18.0.4:51871", "allowed-ips": ["10.0.0.1/32"]} | peer
    interface = {"name": "cilium_wg0", "listen-port": 51871, "public-key": KEY, "peer-count": 1, "peers": [members]}
    return json.dumps({"cilium-version": "1.15.0", "encryption": {"wireguard": {"interfaces": [interface]}}})


def test_debuginfo() -> None:
    text = debuginfo(**{"last-handshake-time": "2026-11-22T11:37:53.500Z", "transfer-rx": 284, "transfer-tx": 500})
    found = wireguard_from_debuginfo(text)
    assert found is not None
    device, (peer,) = found
    assert (device.listen_port, device.public_key, device.fwmark) == (51871, KEY, None)
    assert (peer.latest_handshake, peer.rx_bytes, peer.tx_bytes) == (1795347473.5, 284, 500)


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"])
def test_a_peer_that_never_shook_hands(never: str) -> None:
    found = wireguard_from_debuginfo(debuginfo(**{"last-handshake-time": never}))
    assert found is not None
    ((peer,),) = found[1:]
    assert (peer.latest_handshake, peer.rx_bytes, peer.tx_bytes) == (None, 0, 0)


@pytest.mark.parametrize("text", ['{"cilium-version":"1.15.0"}', '{"cilium-version":"1.15.0","encryption":{}}'])
def test_debuginfo_of_an_agent_without_wireguard(text: str) -> None:
    assert wireguard_from_debuginfo(text) is None


@pytest.mark.parametrize(
    "text", ["{}", "[]", "# Cilium debug information\n", debuginfo(**{"last-handshake-time": "?"})]
)
def test_debuginfo_that_is_not_understood(text: str) -> None:
    with pytest.raises(ObservationError, match="debuginfo"):
        wireguard_from_debuginfo(text)


def test_what_all_nodes_tell_of_a_peer_is_kept_once() -> None:
    told = [wireguard_from_debuginfo(debuginfo(**{"transfer-rx": count})) for count in (1, 2)]
    (first,), (second,) = (found[1] for found in told if found is not None)
    assert first.rx_bytes != second.rx_bytes
    for member in ("public_key", "endpoint", "allowed_ips"):
        assert getattr(first, member) is getattr(second, member), member


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed-ips": [["10.0.0.1/32"]]},
        {"allowed-ips": 5},
        {"endpoint": {}},
        {"endpoint": "10.0.0.1"},
        {"public-key": 5},
    ],
)
def test_a_peer_that_is_not_understood_though_another_like_it_was(wrong: dict[str, Any]) -> None:
    wireguard_from_debuginfo(debuginfo())
    with pytest.raises(ObservationError, match="debuginfo"):
        wireguard_from_debuginfo(debuginfo(**wrong))
