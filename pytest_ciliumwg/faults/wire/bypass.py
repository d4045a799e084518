"""Lead chosen packets past the steering, so that they take the main table's route in cleartext."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from pytest_ciliumwg.model.cluster import IPAddress, IPFamily, Pod
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.steering import NFT_TABLE, nft_family, tc_protocol

LEAK_TABLE = "leak"
MARK = 0x4000000
"""Put on chosen packets; no bit of any mark of Cilium's."""
_PREFERENCE = {IPFamily.V4: 1, IPFamily.V6: 2}
# ld [SKF_AD_MARK]; jset #MARK; ret #-1; ret #0: classic BPF, since not every kernel's u32 can match marks.
_MARKED = f"4,32 0 0 {0xFFFFF000 + 20},69 0 1 {MARK},6 0 0 {0xFFFFFFFF},6 0 0 0"


def pod_pair(lab: Lab, node: LabNode, family: IPFamily, to: LabNode | None = None) -> tuple[IPAddress, IPAddress]:
    """The addresses of the node's and of another node's test pod, without one the next node's."""
    source = node.test_pod.pod.address(family)
    destination = (to or lab.next_to(node)).test_pod.pod.address(family)
    if source is None or destination is None:
        raise AssertionError("asked for a family that the lab does not have")
    return source, destination


def pod_ends(lab: Lab, source: Pod, destination: Pod, *families: IPFamily) -> list[tuple[IPAddress, IPAddress]]:
    """The addresses of two pods in each family of the lab, or in these."""
    pairs = ((source.address(family), destination.address(family)) for family in families or lab.families)
    return [(one, other) for one, other in pairs if one and other]


class Chosen(TypedDict, total=False):
    """Which packets are led past, if not all from the node's test pod to the next node's."""

    families: Sequence[IPFamily]
    """Those of these families alone."""
    anywhere: bool
    """Whether it is every packet of the test pod, whatever its destination."""
    ends: Sequence[tuple[IPAddress, IPAddress]]
    """Sources and destinations instead of those of the test pods."""


def bypass(lab: Lab, node: LabNode, condition: str = "", **chosen: Unpack[Chosen]) -> None:
    """Lead packets from the node past the steering.

    Args:
        lab: The lab.
        node: The sending node.
        condition: What else a packet must meet, as nftables writes it; it is evaluated once for each packet.
        chosen: Which packets.
    """
    lab.run_in(node, bypass_script(lab, node, condition, **chosen))


def bypass_script(lab: Lab, node: LabNode, condition: str = "", **chosen: Unpack[Chosen]) -> str:
    """The shell text of `bypass`."""
    families = chosen.get("families") or lab.families
    ends = chosen.get("ends") or [pod_pair(lab, node, family) for family in lab.families if family in families]
    matches = [_match(*pair, anywhere=chosen.get("anywhere", False)) for pair in ends]
    if lab.expected.steering == "rule":
        # One chain for both families, so that a counting condition counts the packets of both.
        return _nft(f"""
add chain inet {NFT_TABLE} bypassing
add rule inet {NFT_TABLE} bypassing {condition} meta mark set meta mark | {MARK:#x}
{_lines(f"insert rule inet {NFT_TABLE} prerouting meta mark & {MARK:#x} != 0 accept")}
{_lines(*(f"insert rule inet {NFT_TABLE} prerouting {pair} jump bypassing" for pair in matches))}
""")
    ruleset = _nft(f"""
add table inet {LEAK_TABLE}
add chain inet {LEAK_TABLE} bypassing
add rule inet {LEAK_TABLE} bypassing {condition} meta mark set meta mark | {MARK:#x}
add chain inet {LEAK_TABLE} prerouting {{ type filter hook prerouting priority mangle; }}
{_lines(*(f"add rule inet {LEAK_TABLE} prerouting {pair} jump bypassing" for pair in matches))}
""")
    return f"{ruleset}\n{pass_marked(lab)}"


def pass_marked(lab: Lab) -> str:
    """Shell text that lets marked packets pass the redirects of the native devices."""
    # A filter with a class and no action ends the classification, and the packet goes its way.
    return "\n".join(
        f"tc filter add dev {device} egress protocol {tc_protocol(family)} pref {_PREFERENCE[family]} "
        f"bpf bytecode '{_MARKED}' flowid 1:1"
        for device in lab.spec.devices
        for family in lab.families
    )


def _match(source: IPAddress, destination: IPAddress, *, anywhere: bool) -> str:
    name = nft_family(IPFamily.of(source))
    return f'iifname "lxc*" {name} saddr {source}' + ("" if anywhere else f" {name} daddr {destination}")


def _lines(*lines: str) -> str:
    return "\n".join(lines)


def _nft(commands: str) -> str:
    return f"nft -f - <<'END'{commands}END"
