"""Let a given number of packets out in cleartext, from now on, and know how many have passed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence

from pytest_ciliumwg.faults.wire.bypass import LEAK_TABLE, MARK, pass_marked, pod_pair
from pytest_ciliumwg.model.cluster import IPAddress, IPFamily
from pytest_ciliumwg.providers.lab.lab import Lab
from pytest_ciliumwg.providers.lab.spec import LabNode
from pytest_ciliumwg.providers.lab.steering import nft_family

_NUMBERS = itertools.count(1)
_FOREVER = 1 << 30
"""More packets than any lab sends, so that a counter modulo this number passes its first values only once."""
_AFTER_MARKS = "mangle + 5"
"""The priority after that of Cilium's marks, which are taken from the chosen packets again."""
_STEERING_MARKS = 0xF00
TABLES = "window"
"""How the nftables tables of these leaks are called, each with a number behind it."""


class Leak:
    """Packets that are let out in cleartext; `close` removes every rule of it."""

    def __init__(self, lab: Lab, node: LabNode, matches: Sequence[str], condition: str) -> None:
        """Let them out from now on.

        Args:
            lab: The lab.
            node: The sending node.
            matches: What packets are meant, as nftables writes it, each another kind.
            condition: What else a packet must meet; it is evaluated once for each packet.

        Raises:
            ProviderError: a command failed.
        """
        self._lab, self._node, self._table = lab, node, f"{TABLES}{next(_NUMBERS)}"
        mark = f"meta mark set meta mark & {~_STEERING_MARKS & 0xFFFFFFFF:#x} | {MARK:#x}"
        ruleset = [
            f"table inet {self._table} {{",
            "counter passed { }",
            "chain chosen {",
            f"{condition} counter name passed {mark}",
            "}",
            "chain prerouting {",
            f"type filter hook prerouting priority {_AFTER_MARKS};",
            *(f'iifname "lxc*" {match} jump chosen' for match in matches),
            "}",
            "}",
        ]
        lab.run_in(node, "\n".join([_pass_marked_once(lab), "nft -f - <<'END'", *ruleset, "END"]))

    def passed(self) -> int:
        """How many have passed until now."""
        shown = json.loads(self._lab.run_in(self._node, f"nft -j list counter inet {self._table} passed"))
        return next(int(item["counter"]["packets"]) for item in shown["nftables"] if "counter" in item)

    def close(self) -> None:
        """Let no more packets out, and remove the rules; safe to call twice."""
        self._lab.run_in(
            self._node,
            f"nft 'add table inet {self._table}; delete table inet {self._table}'\n"
            f"nft list tables | grep -q -e ' {TABLES}' -e ' {LEAK_TABLE}' || {{\n{_pass_no_more(self._lab)}\n}}",
        )


def leak_packets(lab: Lab, node: LabNode, to: LabNode, family: IPFamily, count: int) -> Leak:
    """Let exactly the next packets from a node's test pod to another's pass in cleartext.

    It does not matter how the node steers, nor whether that changes meanwhile.

    Args:
        lab: The lab.
        node: The sending node.
        to: The other node.
        family: The packets' family.
        count: How many packets.

    Raises:
        ProviderError: a command failed.
    """
    source, destination = pod_pair(lab, node, family, to)
    name = nft_family(family)
    match = f"{name} saddr {source} {name} daddr {destination}"
    return Leak(lab, node, [match], f"numgen inc mod {_FOREVER} < {count}")


def leak_all_from(lab: Lab, node: LabNode, addresses: Iterable[IPAddress]) -> Leak:
    """Let everything that these addresses of a node's pods send pass in cleartext.

    Raises:
        ProviderError: a command failed.
    """
    return Leak(lab, node, [f"{nft_family(IPFamily.of(ip))} saddr {ip}" for ip in addresses], "")


def _pass_marked_once(lab: Lab) -> str:
    """Let marked packets pass the redirects of the native devices, if they do not yet."""
    hooks = "\n".join(f"tc qdisc replace dev {device} clsact" for device in lab.spec.devices)
    shown = f"tc filter show dev {lab.spec.devices[0]} egress"
    return f"{hooks}\n{shown} | grep -q ' pref [12] bpf' || {{\n{pass_marked(lab)}\n}}"


def _pass_no_more(lab: Lab) -> str:
    return "\n".join(
        f"tc filter del dev {device} egress pref {preference} 2>/dev/null || :"
        for device in lab.spec.devices
        for preference in (1, 2)
    )
