"""What MTUs follow from on a node, and what packets of the largest size did there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from pytest_ciliumwg.expect import Expectations
from pytest_ciliumwg.flows.plan import HEADERS
from pytest_ciliumwg.model.cluster import CiliumConfig, IPAddress, IPFamily, Node
from pytest_ciliumwg.model.node_state import Link, NodeState
from pytest_ciliumwg.verdict.judge import Judge, Judgement

WhatItDoes = Callable[[str], str]
"""Says of a node what the largest packets that its pods' routes allow did, as it was measured."""


@dataclass(frozen=True, slots=True)
class MtuBase:
    """The MTU from which Cilium makes those of its device and of the routes in pods."""

    mtu: int | None
    """None where it is not known."""
    told: str
    """Whose it is, or why it is not known."""


MtuBases = Callable[[NodeState], MtuBase]
"""Says from which MTU the Cilium of a node makes all others."""


def mtu_base(state: NodeState, node: Node, config: CiliumConfig, expected: Expectations) -> MtuBase:
    """The MTU from which the Cilium of one node makes all others."""
    if config.mtu:
        return MtuBase(config.mtu, f"{config.mtu}, the MTU that Cilium is told (`mtu` of its configuration)")
    if expected.mtu_base == "primary":
        return _primary(state, node, expected)
    if state.selected is None:
        return _of_all(state.native_devices, "which devices Cilium selected, its agent does not tell")
    selected = [link for link in state.devices if link.name in state.selected]
    if not selected:
        return MtuBase(None, f"the node has none of the devices that Cilium selected: {', '.join(state.selected)}")
    lowest = min(selected, key=lambda link: link.mtu)
    return MtuBase(lowest.mtu, f"{lowest.mtu}, the lowest of the devices that Cilium selected ({_list(selected)})")


def _primary(state: NodeState, node: Node, expected: Expectations) -> MtuBase:
    family = IPFamily.V4 if IPFamily.V4 in expected.config.families else IPFamily.V6
    link = _with_address(state.devices, node.address(family))
    if link is None:
        return _of_all(state.native_devices, f"no device of the node has its address {node.address(family)}")
    return MtuBase(link.mtu, f"{link.mtu} of {link.name}, which has the node's address")


def _with_address(links: Iterable[Link], address: IPAddress | None) -> Link | None:
    return next((link for link in links if address in {interface.ip for interface in link.addresses}), None)


def _of_all(links: Sequence[Link], otherwise: str) -> MtuBase:
    """The MTU that all native devices have; where they differ, nobody can say whose counts."""
    mtus = {link.mtu for link in links}
    if len(mtus) == 1:
        return MtuBase(mtu := mtus.pop(), f"{mtu} of every native device")
    return MtuBase(None, f"{otherwise}, and its native devices differ: {_list(links) or 'there is none'}")


def _list(links: Iterable[Link]) -> str:
    return ", ".join(f"{link.name} {link.mtu}" for link in links)


def measured_with_largest(judge: Judge | None) -> WhatItDoes:
    """Says of a node what the largest packets that the routes in pods allow did there; nothing is guessed."""
    by_node: dict[str, list[Judgement]] = {}
    for judgement in judge.judgements if judge else ():
        if judgement.flow.purpose == "size" and judgement.flow.dont_fragment:
            for node in dict.fromkeys(judgement.flow.pair):
                by_node.setdefault(node, []).append(judgement)
    return cache(lambda node: _measured(judge, node, by_node.get(node, ())))


def _measured(judge: Judge | None, node: str, judgements: Sequence[Judgement]) -> str:
    if judge is None or not judgements:
        return "What this does to packets was not measured."
    sizes = sorted({_size(judgement) for judgement in judgements})
    said = "; ".join(_of_size(size, [each for each in judgements if _size(each) == size]) for size in sizes)
    measured = "Measured with packets as large as the routes in pods allow, sent whole"
    return f"{measured}: {said}{_cut(judge, node)}."


def _size(judgement: Judgement) -> int:
    """The bytes of a datagram's whole packet, IP header included."""
    return judgement.flow.payload_size + HEADERS[judgement.flow.family]


def _of_size(size: int, judgements: Sequence[Judgement]) -> str:
    kinds: dict[str, list[str]] = {}
    for judgement in judgements:
        delivery, flow = judgement.delivery, judgement.flow
        lost = "could not be measured" if delivery.unmeasured else "do not get through"
        fate = "get through" if delivery.received >= flow.count else lost
        kinds.setdefault(fate, []).append(f"{flow.protocol.value} {flow.family.value}")
    if len(kinds) == 1:
        return f"those of {size} bytes {next(iter(kinds))}"
    told = (f"{fate} ({', '.join(dict.fromkeys(of))})" for fate, of in kinds.items())
    return f"those of {size} bytes {' and '.join(told)}"


def _cut(judge: Judge, node: str) -> str:
    if node not in judge.measurement.watches:
        return ""
    fragmented = sum(messages.count for _, messages in judge.messages(node) if messages.fragmented)
    return f"; {fragmented} of WireGuard's own packets were fragmented" if fragmented else ""
