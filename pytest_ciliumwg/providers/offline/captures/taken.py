"""Take in captures as they come by, and put them down to nodes once the cluster is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_ciliumwg.model.node_state import NodeState
from pytest_ciliumwg.model.watch import WatchReport
from pytest_ciliumwg.providers.offline.archive import File
from pytest_ciliumwg.providers.offline.captures.attribution import Counted, Origin, Origins
from pytest_ciliumwg.providers.offline.captures.counting import LINK_TYPES, FrameCounter
from pytest_ciliumwg.providers.offline.captures.files import Interface, Take, read_capture
from pytest_ciliumwg.providers.offline.captures.watches import CapturedWatch, Known


class Captures:
    """All captures of an input."""

    def __init__(self) -> None:
        self._taken: list[Counted] = []
        self._names: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def names(self) -> list[str]:
        """The files', those of other things too that were taken for captures."""
        return list(self._names)

    def take(self, file: File, problems: list[str]) -> None:
        """Read one file to its end."""
        self._names[file.name] = None
        counters: list[tuple[Interface, FrameCounter]] = []

        def taker(interface: Interface) -> Take:
            counters.append((interface, FrameCounter(interface.link_type)))
            return counters[-1][1].take

        capture = read_capture(file.name, file.stream, taker)
        if capture.problem:
            problems.append(f"the capture {file.name} {capture.problem}")
        for interface, frames in counters:
            if interface.link_type in LINK_TYPES:
                self._taken.append(Counted(capture, interface, frames))
            else:
                problems.append(
                    f"the capture {file.name} has link type {interface.link_type}, as one of the device `any` has, "
                    "which does not tell what passed where: capture each native device by itself"
                )

    def watches(
        self,
        known: Known,
        states: Mapping[str, NodeState],
        named: Mapping[str, Mapping[str, Any]],
        problems: list[str],
    ) -> tuple[dict[str, WatchReport], Sequence[str]]:
        """Node → what its captures show; and how it was found out whose they are."""
        watches = {name: CapturedWatch(name, known) for name in states}
        told: list[str] = []
        origins = Origins(
            {node.name: (*node.addresses, *node.external_addresses) for node in known.nodes},
            {
                **{ip: node.name for node in known.nodes for ip in node.cilium_addresses},
                **{ip: pod.node for pod in known.pods for ip in pod.addresses},
            },
            states,
            named,
        )
        for counted in self._taken:
            origin = origins.of(counted)
            _tell(counted, origin, told, problems)
            if not origin.problem and origin.node in watches:
                watches[origin.node].add(origin.device, counted)
        if silent := sum(counted.interface.drops is None for counted in self._taken):
            told.append(f"{silent} captures do not tell whether frames were dropped, which pcapng with statistics does")
        for name, watch in watches.items():
            problems += [
                f"{count} frames {source} → {destination} in cleartext in the captures of {name}: both are addresses "
                "of pods' networks, of two nodes, and which pods these were the input does not tell"
                for (source, destination), count in watch.strangers.items()
            ]
        return {name: watch.report(states[name]) for name, watch in watches.items()}, told


def _tell(counted: Counted, origin: Origin, told: list[str], problems: list[str]) -> None:
    name = counted.file.name
    if origin.problem:
        problems.append(f"the capture {name} {origin.problem}")
    elif origin.told:
        told.append(f"the capture {name}: {origin.told}")
