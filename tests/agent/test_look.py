"""Our own look by rtnetlink says what `ip` and `tc` say of the same network namespace."""

from __future__ import annotations

import json
import subprocess

import pytest

from pytest_ciliumwg.agent.look.filters import filters
from pytest_ciliumwg.agent.look.links import links
from pytest_ciliumwg.agent.look.node import look
from pytest_ciliumwg.agent.look.routes import routes, rules
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.observe.iproute import ALL_TABLES, links_from_ip, routes_from_ip, rules_from_ip
from pytest_ciliumwg.observe.tc import redirects_from_tc

pytestmark = pytest.mark.usefixtures("netns")

NUMBERS = {IPFamily.V4: 2, IPFamily.V6: 10}
NODE = """
for device in left right; do echo 0 >/proc/sys/net/ipv6/conf/$device/disable_ipv6; done
ip addr add 172.18.0.2/16 dev left; ip addr add fd00:18::2/64 dev left nodad
ip route add 10.244.1.0/24 via 172.18.0.3; ip route add 10.244.9.0/24 dev right mtu 1420
ip route add blackhole 10.244.0.0/24; ip route add default dev left table 201
ip route add 10.250.0.0/16 nexthop via 172.18.0.3 nexthop dev right
ip -6 route add fd00:10:244:1::/64 via fd00:18::3; ip -6 route add default dev left table 201
ip rule add priority 1 fwmark 0xe00/0xf00 lookup 201; ip -6 rule add priority 1 fwmark 0xe00/0xf00 lookup 201
ip rule add priority 7 fwmark 0x10 lookup 201; ip rule add priority 8 from 10.0.0.0/8 to 10.1.0.0/16 lookup main
ip rule add priority 9 iif right lookup 202; ip rule add priority 10 not fwmark 0x1 lookup main
ip link add name br0 type bridge; ip link set br0 up; ip link set right down
tc qdisc add dev left clsact
tc filter add dev left egress protocol ip pref 5 u32 match ip dst 10.244.1.5 action mirred egress redirect dev br0
tc filter add dev left egress protocol ipv6 pref 6 u32 match ip6 dst fd00::5 action mirred egress mirror dev br0
tc filter add dev left egress protocol all pref 7 bpf bytecode '1,6 0 0 0' flowid 1:1
"""


def ip(*words: str) -> str:
    return subprocess.run(["ip", "-j", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def node(netns: None) -> None:
    del netns
    subprocess.run(["sh", "-ec", NODE], check=True)


def test_devices_and_their_addresses() -> None:
    told, shown = links_from_ip(json.dumps(links())), links_from_ip(ip("-d", "addr", "show"))
    assert {link.name for link in told} >= {"lo", "left", "right", "br0"}
    assert [(each.name, each.index, each.kind, each.mtu, each.addresses, each.mac) for each in told] == [
        (each.name, each.index, each.kind, each.mtu, each.addresses, each.mac) for each in shown
    ]
    # What follows from the other flags, `ip` makes up.
    assert [each.flags for each in told] == [each.flags - {"NO-CARRIER", "M-DOWN"} for each in shown]


@pytest.mark.parametrize("family", IPFamily)
def test_rules(family: IPFamily) -> None:
    flag = f"-{family.value[1]}"
    told = rules_from_ip(json.dumps(rules(NUMBERS[family])), family)
    shown = rules_from_ip(ip(flag, "rule", "show"), family)
    assert [(r.priority, r.table, r.fwmark, r.fwmask, r.source, bool(r.conditions)) for r in told] == [
        (r.priority, r.table, r.fwmark, r.fwmask, r.source, bool(r.conditions)) for r in shown
    ]


@pytest.mark.parametrize("family", IPFamily)
def test_routes(family: IPFamily) -> None:
    flag = f"-{family.value[1]}"
    told = routes_from_ip(json.dumps(routes(NUMBERS[family])), family, ALL_TABLES)
    shown = routes_from_ip(ip(flag, "route", "show", "table", "all"), family, ALL_TABLES)
    assert set(map(str, told)) == set(map(str, shown))


def test_filters() -> None:
    told = filters()
    assert told.keys() == {"left"}
    shown = subprocess.run(
        ["tc", "-j", "filter", "show", "dev", "left", "egress"], check=True, capture_output=True, text=True
    ).stdout
    assert redirects_from_tc(json.dumps(told["left"]), "left", "egress") == redirects_from_tc(shown, "left", "egress")
    assert redirects_from_tc(shown, "left", "egress")


def test_what_cannot_be_read_does_not_hide_the_rest() -> None:
    parts = look("no-such-device", ["v4"])
    assert "No such file" in parts["rp_filter"]["error"]
    assert {name for name, part in parts.items() if "told" in part} == {
        "clock", "links", "filters", "rules-v4", "routes-v4",
    }  # fmt: skip
