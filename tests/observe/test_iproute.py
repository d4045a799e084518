from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.node_state import Rule
from pytest_ciliumwg.observe.iproute import links_from_ip, routes_from_ip, rules_from_ip

from . import recordings

V4, V6 = IPFamily.V4, IPFamily.V6


@pytest.mark.parametrize("state", recordings.STATES)
def test_links_of_every_recording(state: str) -> None:
    links = {link.name: link for link in links_from_ip(recordings.node(state, "ip-addr.json"))}
    assert links["eth0"].mtu == 1500
    assert ipaddress.ip_interface("172.18.0.3/16") in links["eth0"].addresses
    assert ("cilium_wg0" in links) is (state in recordings.ON)


@pytest.mark.parametrize("state", recordings.ON)
def test_the_device_of_the_userspace_fallback_is_a_tun(state: str) -> None:
    (link,) = links_from_ip(recordings.node(state, "ip-d-link-cilium_wg0.json"))
    assert (link.name, link.kind, link.mtu) == ("cilium_wg0", "tun", 1420)
    assert {"UP", "NOARP", "POINTOPOINT"} <= link.flags


def test_a_device_has_an_ethernet_address_or_none() -> None:
    macs = {link.name: link.mac for link in links_from_ip(recordings.node("v1.14/on", "ip-addr.json"))}
    assert (macs["eth0"], macs["lo"], macs["cilium_wg0"]) == ("02:42:ac:12:00:03", "", "")


def test_an_empty_object_is_a_device_that_a_filter_left_out() -> None:
    only = '{"ifname":"lo","ifindex":1,"flags":["UP"],"mtu":65536}'
    assert [link.name for link in links_from_ip(f"[{{}},{only},{{}}]")] == ["lo"]
    with pytest.raises(ObservationError, match="shows no device at all"):
        links_from_ip("[{},{}]")


@pytest.mark.parametrize("state", recordings.STATES)
def test_rules_of_every_recording(state: str) -> None:
    marked = Rule(family=V4, priority=1, table="201", fwmark=0xE00, fwmask=0xF00)
    rules = rules_from_ip(recordings.node(state, "ip-rule.json"), V4)
    assert (marked in rules) is (state in {"v1.13/on", "v1.13/off", "v1.13/dual"})
    assert [rule.table for rule in rules if rule.fwmark is None] == ["local", "main", "default"]


@pytest.mark.parametrize("state", [*recordings.STATES, "v1.13/rule6-deleted"])
def test_ipv6_rules_of_every_recording(state: str) -> None:
    rules = rules_from_ip(recordings.node(state, "ip-6-rule.json"), V6)
    assert any(rule.fwmark == 0xE00 for rule in rules) is (state == "v1.13/dual")
    assert {rule.family for rule in rules} == {V6}


def rule(**members: Any) -> Rule:
    plain = {"priority": 5, "src": "all", "table": "201"}
    (found,) = rules_from_ip(json.dumps([plain | members]), V4)
    return found


def test_a_mark_without_a_mask_is_compared_whole() -> None:
    assert rule(fwmark="0xca6c").fwmask == 0xFFFFFFFF


def test_a_rule_with_further_conditions_is_told_apart() -> None:
    assert rule(fwmark="0xe00", fwmask="0xf00", iif="eth0").conditions == ("iif eth0",)
    assert rule(**{"not": None, "src": "10.0.0.0", "srclen": 8}).conditions == ("not",)
    assert rule(src="10.0.0.0", srclen=8).source == "10.0.0.0/8"


def test_a_rule_may_look_no_table_up() -> None:
    (found,) = rules_from_ip('[{"priority":9,"src":"9.9.9.9","action":"prohibit"}]', V4)
    assert (found.table, found.conditions) == ("", ())


def test_no_rule_at_all_is_no_observation() -> None:
    with pytest.raises(ObservationError, match="`ip -j -6 rule show` shows no rule at all"):
        rules_from_ip("[]", V6)


@pytest.mark.parametrize("state", recordings.STATES)
def test_table_201_of_every_recording(state: str) -> None:
    status, stderr = recordings.failure(state, "ip-route-table-201.json")
    text = recordings.node(state, "ip-route-table-201.json")
    routes = routes_from_ip(text, V4, "201", status=status, stderr=stderr)
    expected = [("0.0.0.0/0", "cilium_wg0")] if state in {"v1.13/on", "v1.13/dual"} else []
    assert [(str(route.destination), route.device) for route in routes] == expected


def test_a_failure_other_than_a_missing_table_is_an_error() -> None:
    with pytest.raises(ObservationError, match=r"table 201` failed with exit status 1: Cannot open netlink socket"):
        routes_from_ip("[", V4, "201", status=1, stderr="Cannot open netlink socket\n")
    with pytest.raises(ObservationError, match="is not JSON, or cut off"):
        routes_from_ip("[", V4, "201")


ROUTES = """[
{"dst":"10.5.0.0/16","gateway":"10.9.0.2","dev":"eth0","flags":[],"metrics":[{"mtu":1400}]},
{"dst":"10.8.0.0/16","flags":[],"nexthops":[{"gateway":"10.9.0.2","dev":"eth0","weight":1,"flags":[]},
                                            {"gateway":"10.9.0.3","dev":"eth1","weight":1,"flags":[]}]},
{"dst":"10.10.0.0/16","via":{"family":"inet6","host":"fd00:1::9"},"dev":"eth0","flags":[]},
{"type":"unreachable","dst":"10.11.0.0/16","dev":"lo","flags":[]},
{"type":"blackhole","dst":"default","flags":[]},
{"dst":"10.12.0.1","dev":"eth0","scope":"link","flags":[]}]"""


def test_routes_of_every_shape() -> None:
    found = [
        (str(route.destination), route.device, str(route.gateway), route.mtu)
        for route in routes_from_ip(ROUTES, V4, "main")
    ]
    assert found == [
        ("10.5.0.0/16", "eth0", "10.9.0.2", 1400),
        ("10.8.0.0/16", "eth0", "10.9.0.2", None),
        ("10.8.0.0/16", "eth1", "10.9.0.3", None),
        ("10.10.0.0/16", "eth0", "fd00:1::9", None),
        ("10.11.0.0/16", None, "None", None),
        ("0.0.0.0/0", None, "None", None),
        ("10.12.0.1/32", "eth0", "None", None),
    ]


def test_an_ipv6_default_route() -> None:
    (route,) = routes_from_ip('[{"dst":"default","dev":"cilium_wg0","metric":1024}]', V6, "201")
    assert (str(route.destination), route.family) == ("::/0", V6)


def test_a_route_of_another_family_is_refused() -> None:
    with pytest.raises(ObservationError, match="not of the family v6"):
        routes_from_ip('[{"dst":"10.0.0.0/8","dev":"eth0"}]', V6, "main")
