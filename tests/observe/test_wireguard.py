from __future__ import annotations

import ipaddress

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.node_state import DUMMY_KEY, Endpoint
from pytest_ciliumwg.observe.wireguard import WG_SHOW_SCRIPT, fwmark_from_wg, wireguard_from_dump, wireguard_from_show

from . import recordings

OWN, ONE, TWO = (letter * 43 + "=" for letter in "OXY")

SHOW = f"""\
== public-key
{OWN}
== listen-port
51871
== fwmark
0x1e00
== peers
{ONE}
{TWO}
== endpoints
{ONE}\t172.18.0.2:51871
{TWO}\t[fd00:18::4]:51871
== allowed-ips
{ONE}\t10.0.0.164/32 fd00:10::1/128
{TWO}\t(none)
== latest-handshakes
{ONE}\t1795349713
{TWO}\t0
== transfer
{ONE}\t4052\t3900
{TWO}\t0\t0
== end
"""


def test_the_script_never_asks_for_the_private_key() -> None:
    assert not {"dump", "private-key", "showconf"} & set(WG_SHOW_SCRIPT.replace('"', " ").split())
    assert 'wg show cilium_wg0 "$field" || exit 1' in WG_SHOW_SCRIPT


def test_show() -> None:
    device, (one, two) = wireguard_from_show(SHOW)
    assert (device.name, device.public_key, device.listen_port, device.fwmark) == ("cilium_wg0", OWN, 51871, 0x1E00)
    assert one.endpoint == Endpoint(address=ipaddress.ip_address("172.18.0.2"), port=51871)
    assert {str(network) for network in one.allowed_ips} == {"10.0.0.164/32", "fd00:10::1/128"}
    assert (one.latest_handshake, one.rx_bytes, one.tx_bytes) == (1795349713.0, 4052, 3900)
    assert (str(two.endpoint), two.allowed_ips, two.latest_handshake) == ("[fd00:18::4]:51871", frozenset(), None)


def test_a_device_without_key_port_mark_and_peers() -> None:
    bare = {"public-key": "(none)", "listen-port": "0", "fwmark": "off"}
    text = "".join(f"== {name}\n{value}\n" for name, value in bare.items())
    text += "".join(f"== {name}\n" for name in ("peers", "endpoints", "allowed-ips", "latest-handshakes", "transfer"))
    device, peers = wireguard_from_show(text + "== end\n")
    assert (device.public_key, device.listen_port, device.fwmark, peers) == (None, None, 0, ())


def test_a_peer_without_endpoint() -> None:
    _, (one, _) = wireguard_from_show(SHOW.replace("172.18.0.2:51871", "(none)"))
    assert one.endpoint is None


def test_peers_that_change_while_they_are_read() -> None:
    with pytest.raises(ObservationError, match="changed while they were read; read them again"):
        wireguard_from_show(SHOW.replace(f"{TWO}\t0\t0\n", ""))


def test_the_dummy_peer_may_come_and_go() -> None:
    _, peers = wireguard_from_show(SHOW.replace("== endpoints\n", f"{DUMMY_KEY}\n== endpoints\n"))
    assert [peer.public_key for peer in peers] == [ONE, TWO]
    _, peers = wireguard_from_show(SHOW.replace("== transfer\n", f"== transfer\n{DUMMY_KEY}\t0\t0\n"))
    assert [peer.public_key for peer in peers] == [ONE, TWO]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("51871\n== fwmark", "any\n== fwmark", "holds 'any', which is no number"),
        ("172.18.0.2:51871", "somewhere", "holds 'somewhere', which is no endpoint"),
        ("172.18.0.2:51871", "172.18.0.256:51871", "is no IP address"),
        ("10.0.0.164/32", "10.0.0.164/40", "is no IP network"),
        ("4052\t3900", "4052", "no two numbers"),
        (f"{ONE}\n", "short\n", "a public key was expected"),
        (f"{OWN}\n", "", "0 lines for public-key"),
        ("== end\n", "", "is cut off: it has no end"),
    ],
)
def test_show_that_is_not_understood(old: str, new: str, problem: str) -> None:
    with pytest.raises(ObservationError, match=problem):
        wireguard_from_show(SHOW.replace(old, new))


@pytest.mark.parametrize("state", recordings.ON)
def test_the_dump_of_every_recording(state: str) -> None:
    device, peers = wireguard_from_dump(recordings.agent(state, "wg-show-all-dump.txt"))
    assert (device.listen_port, device.fwmark) == (51871, 0 if state.startswith("v1.13") else 0x1E00)
    assert {str(peer.endpoint) for peer in peers} == {"172.18.0.2:51871", "172.18.0.4:51871"}
    networks = {str(network) for peer in peers for network in peer.allowed_ips}
    assert ("172.18.0.4/32" in networks) is (state in {"v1.15/node-encryption", "v1.15/vxlan"})
    assert any(":" in network for network in networks) is state.endswith("dual")
    assert any(peer.latest_handshake and peer.rx_bytes for peer in peers)


@pytest.mark.parametrize("state", recordings.OFF)
def test_a_dump_without_the_device(state: str) -> None:
    with pytest.raises(ObservationError, match="has no device cilium_wg0"):
        wireguard_from_dump(recordings.agent(state, "wg-show-all-dump.txt"))


def test_other_devices_in_a_dump_are_left_alone() -> None:
    other = f"wg7\tsecret\t{ONE}\t4000\toff\nwg7\t{TWO}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"
    device, peers = wireguard_from_dump(f"{other}cilium_wg0\tsecret\t{OWN}\t51871\toff\n")
    assert (device.public_key, peers) == (OWN, ())


@pytest.mark.parametrize("line", ["secret", "cilium_wg0\tsecret", f"secret\t{OWN}\t51871\toff"])
def test_no_message_about_a_dump_quotes_it(line: str) -> None:
    with pytest.raises(ObservationError, match="cut off") as caught:
        wireguard_from_dump(line)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("text", "mark"), [("0xe00\n", 0xE00), ("off\n", 0)])
def test_the_mark_alone(text: str, mark: int) -> None:
    assert fwmark_from_wg(text) == mark


@pytest.mark.parametrize("text", ["", "0xe00 0x1", "Unable to access interface: No such device"])
def test_a_mark_that_is_not_understood(text: str) -> None:
    with pytest.raises(ObservationError, match="fwmark"):
        fwmark_from_wg(text)
