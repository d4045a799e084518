"""Other addresses stand to each other as the real ones do: in the same networks, of the same kind, no two the same."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ciliumwg.model.cluster import IPAddress
from pytest_ciliumwg.providers.offline.anonymous.addresses import Addresses

OTHERS = Addresses()
V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)


def common(one: IPAddress, other: IPAddress) -> int:
    return one.max_prefixlen - (int(one) ^ int(other)).bit_length()


@given(st.one_of(st.tuples(V4, V4), st.tuples(V6, V6)), st.integers(0, 32), st.integers(0, 2**20))
@settings(max_examples=60, deadline=None)
def test_as_long_a_prefix_in_common(pair: tuple[IPAddress, IPAddress], length: int, near: int) -> None:
    one, other = pair
    beside = type(one)(int(one) ^ near)
    for candidate in (other, beside):
        assert common(OTHERS.address(one), OTHERS.address(candidate)) == common(one, candidate)
    network = ip_network((int(one), length), strict=False) if one.version == 4 else ip_network(f"{one}/{length}", False)
    assert OTHERS.address(one) in OTHERS.network(network)
    assert (OTHERS.address(other) in OTHERS.network(network)) is (other in network)


@pytest.mark.parametrize(
    ("network", "version"),
    [("10.0.0.0/8", 4), ("172.16.0.0/12", 4), ("192.168.0.0/16", 4), ("100.64.0.0/10", 4), ("fd00::/8", 6)],
)
def test_an_address_stays_of_its_kind(network: str, version: int) -> None:
    room = ip_network(network)
    inside = [room[int.from_bytes(os.urandom(3), "big") % room.num_addresses] for _ in range(50)]
    others = [OTHERS.address(address) for address in inside]
    assert all(address in room and address.version == version for address in others)
    assert others != inside
    outside = ip_address("203.0.113.7" if version == 4 else "2001:db8::7")
    assert OTHERS.address(outside) not in room
    assert OTHERS.network(room) == room


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "169.254.20.10", "224.0.0.1", "255.255.255.255", "::1"])
def test_what_is_the_same_everywhere_stays(address: str) -> None:
    assert str(OTHERS.address(ip_address(address))) == address


def test_what_was_made_of_an_address_is_replaced_as_well() -> None:
    local, asked = ip_address("fe80::42:acff:fe12:3"), ip_address("ff02::1:ff12:3")
    assert OTHERS.address(local).packed[:8] == local.packed[:8]
    assert OTHERS.address(asked).packed[:13] == asked.packed[:13]
    for start in ("fe80::42:acff:fe12:", "ff02::1:ff12:"):
        many = {ip_address(f"{start}{number:x}") for number in range(9)}
        assert {OTHERS.address(address) for address in many} != many
    mapped = OTHERS.address(ip_address("::ffff:172.18.0.3"))
    assert isinstance(mapped, IPv6Address)
    assert mapped.ipv4_mapped == OTHERS.address(ip_address("172.18.0.3"))
    interface = OTHERS.interface(ip_interface("172.18.0.3/16"))
    assert (interface.ip, interface.network.prefixlen) == (OTHERS.address(ip_address("172.18.0.3")), 16)


def test_ethernet_addresses() -> None:
    real = bytes.fromhex("0242ac120003")
    assert OTHERS.mac(real) == OTHERS.mac(real)
    assert OTHERS.mac(real)[1:] != real[1:]
    assert not OTHERS.mac(real)[0] & 1
    assert OTHERS.mac(b"\xff" * 6) == b"\xff" * 6
    asked = bytes.fromhex("3333ff120003")
    assert OTHERS.mac(asked)[:2] == asked[:2]
    assert OTHERS.mac(asked) != asked


def test_another_run_has_others() -> None:
    address = ip_address("10.1.2.3")
    assert len({Addresses().address(address) for _ in range(20)}) > 1


@pytest.mark.parametrize("network", ["172.18.0.0/16", "10.244.0.0/24", "192.168.0.0/24", "8.8.8.0/24", "fd00::/64"])
def test_no_network_stands_for_itself(network: str) -> None:
    assert all(Addresses().network(ip_network(network)) != ip_network(network) for _ in range(50))
