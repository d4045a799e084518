"""What the lab does to pods' packets in fragments, as the version that it imitates: the work of `bpf_lxc` in Cilium."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.expect.expectations import SHORT_TAIL
from pytest_ciliumwg.model.cluster import IPFamily
from pytest_ciliumwg.model.traffic import Protocol

TABLE = "cilium_lab_fragments"
"""The nftables table of each node that drops them."""
_BEFORE_DEFRAGMENTATION = -450
_FRAGMENT_HEADER = 44
_NUMBERS = {Protocol.ICMP: {IPFamily.V4: 1, IPFamily.V6: 58}, Protocol.UDP: {IPFamily.V4: 17, IPFamily.V6: 17}}


def fragments_script(expected: Expectations) -> str:
    """Drop a node's pods' fragments as the imitated version does; runs on the node, and can be repeated."""
    return "\n".join(
        [
            "nft -f - <<'END'",
            f"add table inet {TABLE}",
            f"delete table inet {TABLE}",
            f"table inet {TABLE} {{",
            "chain prerouting {",
            f"type filter hook prerouting priority {_BEFORE_DEFRAGMENTATION};",
            *(f'iifname "lxc*" {match} drop' for match in _dropped(expected)),
            "}",
            "}",
            "END",
        ]
    )


def _dropped(expected: Expectations) -> Iterator[str]:
    for (family, protocol), fate in expected.fragments.items():
        number = _NUMBERS[protocol][family]
        if fate == "dropped" and family is IPFamily.V4:
            yield f"ip protocol {number} ip frag-off & 0x3fff != 0"
        elif fate == "dropped":
            # Read where it stands behind a pod's plain IPv6 header: the next header in that of the fragment.
            yield f"ip6 nexthdr {_FRAGMENT_HEADER} @nh,320,8 {number}"
        elif fate == "tail" and family is IPFamily.V4:
            yield f"ip protocol {number} ip frag-off & 0x1fff != 0 ip length < {20 + SHORT_TAIL}"
        elif fate == "tail":
            raise NotImplementedError("no version drops IPv6 packets in fragments by the size of the last one")
