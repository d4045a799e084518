from __future__ import annotations

import re

import pytest

from pytest_ciliumwg.errors import ObservationError
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.node_state import Redirect
from pytest_ciliumwg.observe.tc import (
    Direction,
    redirects_from_bpftool,
    redirects_from_tc,
    redirects_from_tc_text,
)

from . import recordings

BOTH = frozenset(IPFamily)
CILIUM = Redirect(device="eth0", direction="egress", means="bpf", program="cil_to_netdev", families=BOTH)
LAB = Redirect(device="eth0", direction="egress", means="mirred", program="cilium_wg0", families=BOTH)
REDIRECTING = [state for state in recordings.ON if not state.startswith("v1.13")]

HEAD = '{"protocol":"ip","pref":1,"kind":"u32","chain":0}'
TABLE = '{"protocol":"ip","pref":1,"kind":"u32","chain":0,"options":{"fh":"800:","ht_divisor":1}}'
MATCH = '"match":{"value":"a010000","mask":"ffff0000","offmask":"","off":16}'


def u32(protocol: str, verb: str = "redirect") -> str:
    return (
        f'{{"protocol":"{protocol}","pref":1,"kind":"u32","chain":0,"options":{{"fh":"800::800","order":2048,'
        f'"not_in_hw":true,{MATCH},{MATCH},"actions":[{{"order":1,"kind":"mirred","mirred_action":"{verb}",'
        '"direction":"egress","to_dev":"cilium_wg0","control_action":{"type":"stolen"}}]}}'
    )


def bpf(name: str) -> str:
    return (
        '{"protocol":"all","pref":1,"kind":"bpf","chain":0},{"protocol":"all","pref":1,"kind":"bpf","chain":0,'
        f'"options":{{"handle":"0x1","bpf_name":"{name}","direct-action":true,"not_in_hw":true,'
        '"prog":{"id":54302,"name":"cil_to_netdev","tag":"2024d1da00913000","jited":1}}}'
    )


def test_tc_json_with_repeated_members() -> None:
    text = f"[{HEAD},{TABLE},{u32('ip')},{u32('ipv6')}]"
    assert redirects_from_tc(text, "eth0", "egress") == (LAB,)


def test_tc_json_of_one_family() -> None:
    (found,) = redirects_from_tc(f"[{u32('ipv6')}]", "eth0", "egress")
    assert found.families == {IPFamily.V6}


@pytest.mark.parametrize("text", ["[]", f"[{u32('ip', 'mirror')}]", f"[{u32('arp')}]", f"[{bpf('cil_from_netdev')}]"])
def test_what_takes_no_ip_packet_away_is_no_redirect(text: str) -> None:
    assert redirects_from_tc(text, "eth0", "egress") == ()


@pytest.mark.parametrize("name", ["cil_to_netdev-eth0", "cil_to_netdev"])
def test_tc_json_of_ciliums_program(name: str) -> None:
    assert redirects_from_tc(f"[{bpf(name)}]", "eth0", "egress") == (CILIUM,)


@pytest.mark.parametrize("state", recordings.STATES)
def test_bpftool_of_every_recording(state: str) -> None:
    found = redirects_from_bpftool(recordings.node(state, "bpftool-net.json"))
    assert found == ((CILIUM,) if state in REDIRECTING else ())


def test_bpftool_with_tcx() -> None:
    text = '[{"xdp":[],"tc":[{"devname":"eth0","ifindex":2,"kind":"tcx/egress","name":"cil_to_netdev","prog_id":7}]}]'
    assert redirects_from_bpftool(text) == (CILIUM,)


def recorded_filters(state: str, device: str, direction: Direction) -> str:
    text = recordings.node(state, "tc.txt")
    match = re.search(rf"^# filter {device} {direction}\n((?:filter .*\n)*)", text, re.MULTILINE)
    assert match is not None
    return match[1]


@pytest.mark.parametrize("state", recordings.STATES)
def test_tc_text_of_every_recording(state: str) -> None:
    egress = redirects_from_tc_text(recorded_filters(state, "eth0", "egress"), "eth0", "egress")
    assert egress == ((CILIUM,) if state in REDIRECTING else ())
    assert redirects_from_tc_text(recorded_filters(state, "eth0", "ingress"), "eth0", "ingress") == ()
    assert redirects_from_tc_text(recorded_filters(state, "cilium_host", "egress"), "cilium_host", "egress") == ()


U32_TEXT = """\
filter protocol ip pref 1 u32 chain 0
filter protocol ip pref 1 u32 chain 0 fh 800: ht divisor 1
filter protocol ip pref 1 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 terminal flowid not_in_hw
  match 0a010000/ffff0000 at 16
\taction order 1: mirred (Egress Redirect to device cilium_wg0) stolen
\tindex 1 ref 1 bind 1

"""


def test_tc_text_of_the_labs_redirect() -> None:
    both = U32_TEXT + U32_TEXT.replace("protocol ip ", "protocol ipv6 ")
    assert redirects_from_tc_text(both, "eth0", "egress") == (LAB,)
    assert redirects_from_tc_text(U32_TEXT.replace("Redirect", "Mirror"), "eth0", "egress") == ()


@pytest.mark.parametrize("line", ["Cannot find device", "\taction order 1: mirred (Egress Redirect to dev"])
def test_tc_text_that_is_not_understood(line: str) -> None:
    with pytest.raises(ObservationError, match="`tc filter show dev eth0 egress` has a line"):
        redirects_from_tc_text(U32_TEXT + line, "eth0", "egress")
